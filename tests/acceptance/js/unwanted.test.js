import assert from "node:assert/strict";
import test from "node:test";
import { ui } from "./client.js";

test("a server without components says so", async () => {
  const answer = await ui.getComponent("steps", "nothing").then(String, (error) => `refused: ${error}`);
  assert.match(answer, /404|There is nothing|Not Found/);
});
