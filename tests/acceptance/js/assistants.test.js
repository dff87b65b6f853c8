import assert from "node:assert/strict";
import test from "node:test";
import { assistants, refused } from "./client.js";

test("an assistant is made, read, changed, put back and deleted", async () => {
  const made = await assistants.create({
    graphId: "configured",
    name: "Ada",
    description: "Of engines.",
    metadata: { team: "js" },
    context: { user_name: "ada" },
  });
  assert.equal(made.version, 1);
  assert.deepEqual(made.config.configurable, { user_name: "ada" });
  assert.deepEqual(await assistants.get(made.assistant_id), made);

  const again = await assistants.create({ graphId: "configured", assistantId: made.assistant_id, ifExists: "do_nothing" });
  assert.equal(again.name, "Ada");
  assert.equal(await refused(() => assistants.create({ graphId: "configured", assistantId: made.assistant_id })), 409);

  const changed = await assistants.update(made.assistant_id, { name: "Babbage", metadata: { also: 1 } });
  assert.deepEqual([changed.version, changed.name, changed.metadata], [2, "Babbage", { team: "js", also: 1 }]);
  const versions = await assistants.getVersions(made.assistant_id, { limit: 5 });
  assert.deepEqual(versions.map(({ version }) => version), [2, 1]);
  assert.equal((await assistants.setLatest(made.assistant_id, 1)).name, "Ada");

  assert.equal(await assistants.delete(made.assistant_id, { deleteThreads: true }), undefined);
  assert.equal(await refused(() => assistants.get(made.assistant_id)), 404);
});

test("assistants are found and counted, page by page", async () => {
  for (const name of ["one", "two", "three"]) await assistants.create({ graphId: "steps", name, metadata: { page: "js" } });
  const metadata = { page: "js" };
  assert.equal(await assistants.count({ metadata }), 3);
  assert.equal(await assistants.count({ metadata, name: "TW" }), 1);
  const first = await assistants.search({ metadata, limit: 2, sortBy: "name", sortOrder: "asc", includePagination: true });
  assert.deepEqual(first.assistants.map(({ name }) => name), ["one", "three"]);
  assert.equal(first.next, "2");
  const last = await assistants.search({ metadata, limit: 2, offset: 2, sortBy: "name", sortOrder: "asc", includePagination: true });
  assert.deepEqual([last.assistants.length, last.next], [1, null]);
  const [chosen] = await assistants.search({ metadata, limit: 1, select: ["name"] });
  assert.deepEqual(Object.keys(chosen), ["name"]);
});

test("graphs, schemas and subgraphs are described", async () => {
  const [system] = await assistants.search({ graphId: "parent", metadata: { created_by: "system" } });
  const drawn = await assistants.getGraph("parent", { xray: true });
  assert.deepEqual(drawn.nodes.map(({ id }) => id).sort(), ["__end__", "__start__", "child:inner"]);
  const schemas = await assistants.getSchemas(system.assistant_id);
  assert.equal(schemas.graph_id, "parent");
  assert.ok("x" in schemas.input_schema.properties);
  assert.deepEqual(Object.keys(await assistants.getSubgraphs(system.assistant_id, { recurse: true })), ["child"]);
  assert.deepEqual(await assistants.getSubgraphs(system.assistant_id, { namespace: "nowhere" }), {});
});
