import assert from "node:assert/strict";
import test from "node:test";
import { crons, refused, threads } from "./client.js";

test("crons are made, changed, found, counted and deleted", async () => {
  const made = await crons.create("steps", {
    schedule: "0 9 * * 1", timezone: "America/New_York", input: { x: 1 }, metadata: { of: "js" }, onRunCompleted: "keep",
  });
  assert.deepEqual([made.schedule, made.thread_id, made.on_run_completed], ["0 9 * * 1", null, "keep"]);
  const { thread_id } = await threads.create();
  const own = await crons.createForThread(thread_id, "steps", { schedule: "0 0 1 1 *", metadata: { of: "js" } });
  assert.equal(own.thread_id, thread_id);

  const changed = await crons.update(made.cron_id, { schedule: "30 9 * * 1", enabled: false });
  assert.deepEqual([changed.schedule, changed.enabled], ["30 9 * * 1", false]);

  const metadata = { of: "js" };
  assert.equal(await crons.count({ metadata }), 2);
  assert.equal(await crons.count({ threadId: thread_id }), 1);
  const [found] = await crons.search({ metadata, enabled: false, sortBy: "created_at", sortOrder: "asc", limit: 5, select: ["cron_id"] });
  assert.deepEqual(found, { cron_id: made.cron_id });

  assert.equal(await crons.delete(made.cron_id), undefined);
  assert.equal(await refused(() => crons.delete(made.cron_id)), 404);
  assert.equal(await refused(() => crons.create("steps", { schedule: "bad" })), 422);
});
