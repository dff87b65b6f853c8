import assert from "node:assert/strict";
import test from "node:test";
import { runs, threads } from "./client.js";

for (const transport of ["sse", "websocket"])
  test(`a thread is one stream, over ${transport}: a run, its question, the answer`, async () => {
    const thread = threads.stream({ assistantId: "asking", transport });
    try {
      const interrupted = new Promise((resolve) => {
        thread.onEvent((event) => event.method === "input.requested" && resolve(event.params.data));
      });
      await thread.run.start({ input: { x: 1 } });
      const { interrupt_id, payload } = await interrupted;
      assert.deepEqual(payload, { question: "ok?" });
      const ended = new Promise((resolve) => {
        thread.onEvent((event) => event.method === "lifecycle" && event.params.data.event === "completed" && resolve());
      });
      await thread.input.respond({ interrupt_id, namespace: [], response: "yes" });
      await ended;
      assert.deepEqual((await threads.getState(thread.threadId)).values, { x: 2, log: ["a", "ans=yes"] });
    } finally {
      await thread.close();
    }
  });

test("a thread's stream in the older way tells of each run's begin and end", async () => {
  const { thread_id } = await threads.create();
  const leaving = new AbortController();
  const told = [];
  const reading = (async () => {
    for await (const part of threads.joinStream(thread_id, { streamMode: "lifecycle", lastEventId: "-", signal: leaving.signal })) {
      told.push(part);
      if (part.data?.status === "run_done") return;
    }
  })();
  await runs.wait(thread_id, "sleeping", { input: { x: 500 } });
  await reading;
  leaving.abort();
  assert.ok(told.length >= 1);
});

for (const transport of ["sse", "websocket"]) {
  test(`a thread gives its state and its tree, over ${transport}`, async () => {
    const thread = threads.stream({ assistantId: "steps", transport });
    try {
      await thread.run.start({ input: { x: 1 } });
      assert.deepEqual(await thread.values, { x: 3, log: ["a", "b"] });
      assert.equal((await thread.agent.getTree()).tree.status, "completed");
    } finally {
      await thread.close();
    }
  });

  test(`a thread says the words of a model, over ${transport}`, async () => {
    const thread = threads.stream({ assistantId: "speaking", transport });
    try {
      const said = (async () => {
        for await (const message of thread.messages) return await message.text;
      })();
      await thread.run.start({ input: { messages: [{ role: "user", content: "hi" }] } });
      assert.equal(await said, "hello brave new world");
    } finally {
      await thread.close();
    }
  });
}
