import assert from "node:assert/strict";
import test from "node:test";
import { refused, store } from "./client.js";

test("items are kept, found, listed and forgotten", async () => {
  assert.equal(await store.putItem(["js", "ada"], "likes", { what: "engines" }, { index: false, ttl: 60 }), undefined);
  await store.putItem(["js", "charles"], "likes", { what: "tables" });
  const item = await store.getItem(["js", "ada"], "likes", { refreshTtl: true });
  assert.deepEqual([item.value, item.namespace], [{ what: "engines" }, ["js", "ada"]]);
  assert.ok(!Number.isNaN(Date.parse(item.createdAt)) && !Number.isNaN(Date.parse(item.updatedAt)));
  assert.equal(await store.getItem(["js", "ada"], "nothing"), null);

  const { items } = await store.searchItems(["js"], { filter: { what: "tables" }, limit: 5 });
  assert.deepEqual(items.map(({ key, namespace }) => [key, namespace]), [["likes", ["js", "charles"]]]);
  const { namespaces } = await store.listNamespaces({ prefix: ["js"], maxDepth: 2 });
  assert.deepEqual(namespaces, [["js", "ada"], ["js", "charles"]]);

  assert.equal(await store.deleteItem(["js", "ada"], "likes"), undefined);
  assert.equal(await store.getItem(["js", "ada"], "likes"), null);
  assert.equal(await refused(() => store.putItem([], "likes", {})), 400);
});
