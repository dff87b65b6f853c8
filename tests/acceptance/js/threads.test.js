import assert from "node:assert/strict";
import test from "node:test";
import { refused, runs, threads } from "./client.js";

test("a thread is made, read, changed, copied and deleted", async () => {
  const made = await threads.create({ metadata: { who: "ada" }, graphId: "steps", ttl: 60 });
  assert.deepEqual([made.status, made.values, made.metadata.graph_id], ["idle", null, "steps"]);
  const found = await threads.get(made.thread_id, { include: ["ttl"] });
  assert.equal(found.ttl.ttl_minutes, 60);

  const again = await threads.create({ threadId: made.thread_id, ifExists: "do_nothing" });
  assert.equal(again.metadata.who, "ada");
  assert.equal(await refused(() => threads.create({ threadId: made.thread_id })), 409);

  const changed = await threads.update(made.thread_id, { metadata: { also: 1 }, ttl: { ttl: 30, strategy: "delete" } });
  assert.deepEqual([changed.metadata.who, changed.metadata.also], ["ada", 1]);
  assert.equal(await threads.update(made.thread_id, { metadata: { more: 2 }, returnMinimal: true }), undefined);

  const copy = await threads.copy(made.thread_id);
  assert.notEqual(copy.thread_id, made.thread_id);
  assert.equal(copy.metadata.more, 2);

  assert.equal(await threads.delete(made.thread_id), undefined);
  assert.equal(await refused(() => threads.get(made.thread_id)), 404);
});

test("threads are found, counted and pruned", async () => {
  const made = [];
  for (const x of [1, 2, 3]) {
    const thread = await threads.create({ metadata: { found: "js" } });
    await runs.wait(thread.thread_id, "steps", { input: { x } });
    made.push(thread.thread_id);
  }
  const metadata = { found: "js" };
  assert.equal(await threads.count({ metadata }), 3);
  assert.equal(await threads.count({ metadata, values: { x: 3 } }), 1);
  const [chosen] = await threads.search({
    metadata, status: "idle", values: { x: 5 }, limit: 5, sortBy: "created_at", sortOrder: "asc",
    select: ["thread_id"], extract: { last: "values.log[-1]" },
  });
  assert.deepEqual(chosen, { thread_id: made[2], extracted: { last: "b" } });
  assert.equal((await threads.search({ ids: made.slice(0, 2) })).length, 2);

  assert.deepEqual(await threads.prune([made[0]], { strategy: "keep_latest" }), { pruned_count: 1 });
  assert.equal((await threads.getHistory(made[0], { limit: 10 })).length, 1);
  assert.deepEqual(await threads.prune(made), { pruned_count: 3 });
  assert.equal(await threads.count({ metadata }), 0);
});

test("a state is read, changed, forked and followed back", async () => {
  const { thread_id } = await threads.create();
  await runs.wait(thread_id, "steps", { input: { x: 1 } });
  const now = await threads.getState(thread_id);
  assert.deepEqual([now.values, now.next], [{ x: 3, log: ["a", "b"] }, []]);
  const history = await threads.getHistory(thread_id, { limit: 10 });
  assert.deepEqual(history.map(({ values }) => values.x), [3, 2, 1, undefined]);
  const before = await threads.getHistory(thread_id, { limit: 10, before: { configurable: history[1].checkpoint } });
  assert.deepEqual(before, history.slice(2));

  assert.equal((await threads.getState(thread_id, history[1].checkpoint, { subgraphs: true })).values.x, 2);
  assert.equal((await threads.getState(thread_id, history[1].checkpoint.checkpoint_id)).values.x, 2);

  const made = await threads.updateState(thread_id, { values: { x: 40 }, asNode: "a", checkpoint: history[1].checkpoint });
  assert.equal(made.configurable.thread_id, thread_id);
  const forked = await threads.getState(thread_id);
  assert.deepEqual([forked.values.x, forked.next], [40, ["b"]]);
  assert.deepEqual(forked.parent_checkpoint.checkpoint_id, history[1].checkpoint.checkpoint_id);
});

test("a thread is imported with its history", async () => {
  const made = await threads.create({
    graphId: "steps",
    supersteps: [
      { updates: [{ values: { x: 1 }, asNode: "__input__" }] },
      { updates: [{ values: { x: 7, log: ["a"] }, asNode: "a" }] },
    ],
  });
  const { values, next } = await threads.getState(made.thread_id);
  assert.deepEqual([values, next], [{ x: 7, log: ["a"] }, ["b"]]);
});

test("what no server of this kind has is refused as they refuse it: the metadata of a state is not to be changed", async () => {
  const { thread_id } = await threads.create();
  assert.equal(await refused(() => threads.patchState(thread_id, { a: 1 })), 405);
});
