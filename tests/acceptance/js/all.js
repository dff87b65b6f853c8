// Every file of tests, in one process, and at last: no method of the client has been left out.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import test from "node:test";
import { called, methods } from "./client.js";

for (const file of readdirSync(import.meta.dirname).sort()) if (file.endsWith(".test.js")) await import(`./${file}`);

test("every method of the client has a test", () => {
  const known = methods();
  assert.ok(known.length > 40, `only ${known.length} methods were found`);
  const untested = known.filter((name) => !called.has(name));
  assert.deepEqual(untested, []);
  console.log(`methods of the JavaScript client: ${known.length}, called: ${known.filter((name) => called.has(name)).length}`);
});
