import assert from "node:assert/strict";
import test from "node:test";
import { all, names, refused, runs, threads, until } from "./client.js";

const MODES = ["values", "updates", "messages", "messages-tuple", "tasks", "checkpoints", "events", "debug", "custom"];
const thread = async () => (await threads.create()).thread_id;

test("a run is waited for, on a thread and on its own", async () => {
  assert.deepEqual(await runs.wait(await thread(), "steps", { input: { x: 1 } }), { x: 3, log: ["a", "b"] });
  assert.deepEqual(await runs.wait(null, "steps", { input: { x: 5 } }), { x: 7, log: ["a", "b"] });
  await assert.rejects(runs.wait(null, "value_error", { input: { x: 5 } }), /ValueError: bad value/);
  assert.deepEqual(await runs.wait(null, "value_error", { input: { x: 5 }, raiseError: false }), {
    __error__: { error: "ValueError", message: "bad value" },
  });
});

test("a run is streamed in every mode", async () => {
  const made = [];
  const onRunCreated = (run) => made.push(run);
  const told = await all(runs.stream(await thread(), "steps", { input: { x: 1 }, streamMode: "values", onRunCreated }));
  assert.deepEqual(names(told), ["metadata", "values", "values", "values", "end"]);
  assert.deepEqual(made.map(({ run_id }) => run_id), [told[0].data.run_id]);
  for (const streamMode of MODES) {
    const stream = runs.stream(await thread(), "speaking", { input: { messages: [{ role: "user", content: "hi" }] }, streamMode });
    const events = names(await all(stream)).slice(1, -1);
    const expected = streamMode === "messages-tuple" ? "messages" : streamMode;
    if (streamMode !== "custom") assert.ok(events.length > 0, streamMode);
    for (const name of events) assert.ok(name === expected || name.startsWith(`${expected}/`), `${name} of ${streamMode}`);
  }
  const custom = await all(runs.stream(null, "narrating", { input: {}, streamMode: ["custom", "updates"] }));
  assert.deepEqual(custom.slice(1, -1).map(({ data }) => data), [{ n: 1 }, "two", { narrate: { log: ["told"] } }]);
});

test("subgraphs are streamed under their names", async () => {
  const stream = runs.stream(null, "nested", { input: { messages: [] }, streamMode: ["messages-tuple", "custom"], streamSubgraphs: true });
  const events = await all(stream);
  const words = events.filter(({ event }) => event.startsWith("messages")).map(({ data: [chunk] }) => chunk.content);
  assert.match(words.join(""), /^hello brave new world/);
  assert.ok(events.some(({ event }) => /^custom\|kid:/.test(event)));
});

test("an interrupt is streamed, then answered", async () => {
  const thread_id = await thread();
  const asked = await all(runs.stream(thread_id, "asking", { input: { x: 1 }, streamMode: ["values", "updates"] }));
  const [{ data }] = asked.filter(({ event, data: told }) => event === "updates" && "__interrupt__" in told);
  assert.deepEqual(data.__interrupt__[0].value, { question: "ok?" });
  assert.equal((await threads.get(thread_id)).status, "interrupted");
  const answered = await runs.wait(thread_id, "asking", { command: { resume: "yes" } });
  assert.deepEqual(answered.log, ["a", "ans=yes"]);
});

test("a stream that was missed is read again from any event on, and from the first", async () => {
  const thread_id = await thread();
  const told = await all(runs.stream(thread_id, "steps", { input: { x: 1 }, streamMode: ["values"], streamResumable: true }));
  const [{ data: { run_id } }] = told;
  const again = await all(runs.joinStream(thread_id, run_id, { lastEventId: "-1" }));
  assert.deepEqual(again, told);
  const rest = await all(runs.joinStream(thread_id, run_id, { lastEventId: told[1].id, streamMode: "values" }));
  assert.deepEqual(rest, told.slice(2));
  assert.deepEqual(await all(runs.joinStream(null, run_id, { lastEventId: told[1].id })), told.slice(2));
});

test("a run in the background is read, listed, joined and deleted", async () => {
  const thread_id = await thread();
  const made = await runs.create(thread_id, "sleeping", { input: { x: 50 }, metadata: { of: "js" } });
  assert.equal(made.status, "pending");
  assert.equal((await threads.get(thread_id)).status, "busy");
  assert.deepEqual((await runs.join(thread_id, made.run_id)).log, ["a", "slept"]);
  const found = await runs.get(thread_id, made.run_id);
  assert.deepEqual([found.status, found.metadata.of], ["success", "js"]);
  const [listed] = await runs.list(thread_id, { limit: 1, status: "success", select: ["run_id", "status"] });
  assert.deepEqual(listed, { run_id: made.run_id, status: "success" });
  assert.equal(await runs.delete(thread_id, made.run_id), undefined);
  assert.equal(await refused(() => runs.get(thread_id, made.run_id)), 404);
});

test("runs are made in a batch", async () => {
  const thread_id = await thread();
  const made = await runs.createBatch([
    { assistantId: "steps", input: { x: 1 } },
    { assistantId: "steps", input: { x: 2 }, threadId: thread_id },
  ]);
  assert.equal(made.length, 2);
  await until(async () => (await threads.get(thread_id)).status !== "busy");
});

test("runs are stopped: one and waited for, one undone, many at once", async () => {
  const thread_id = await thread();
  const first = await runs.create(thread_id, "sleeping", { input: { x: 60_000 } });
  await until(async () => (await runs.get(thread_id, first.run_id)).status === "running");
  await runs.cancel(thread_id, first.run_id, true, "interrupt", { reason: "taken" });
  assert.equal((await runs.get(thread_id, first.run_id)).status, "interrupted");
  assert.equal(await refused(() => runs.cancel(thread_id, first.run_id)), 404);

  const second = await runs.create(thread_id, "sleeping", { input: { x: 60_000 } });
  assert.equal(await runs.cancel(thread_id, second.run_id, false, "rollback"), undefined);
  await until(async () => (await refused(() => runs.get(thread_id, second.run_id))) === 404);

  const many = [];
  for (let number = 0; number < 2; number++) many.push(await runs.create(thread_id, "sleeping", { input: { x: 60_000 } }));
  const runIds = many.map(({ run_id }) => run_id);
  assert.equal(await runs.cancelMany({ threadId: thread_id, runIds, action: "interrupt" }), undefined);
  await until(async () => (await threads.get(thread_id)).status !== "busy");
  assert.equal(await refused(() => runs.cancelMany({ threadId: thread_id, runIds })), 404);
});
