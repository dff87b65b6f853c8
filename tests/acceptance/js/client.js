// The official client of the server under test. What is called on it is noted, so that the last file can tell what was not.
import { Client } from "@langchain/langgraph-sdk";

export const address = process.env.LANGYARD_ADDRESS;
export const called = new Set();
const plain = new Client({ apiUrl: address, apiKey: null, callerOptions: { maxRetries: 0 } });

function noted(name, part) {
  return new Proxy(part, {
    get(target, key) {
      const value = Reflect.get(target, key);
      if (typeof value !== "function") return value;
      return (...given) => {
        called.add(`${name}.${String(key)}`);
        return value.apply(target, given);
      };
    },
  });
}

// Every method that a part of the client has itself, not those it inherits to make requests with.
export function methods() {
  const found = [];
  for (const [name, part] of Object.entries(plain)) {
    if (part === null || typeof part !== "object") continue;
    for (const key of Object.getOwnPropertyNames(Object.getPrototypeOf(part)))
      if (key !== "constructor" && typeof part[key] === "function") found.push(`${name}.${key}`);
  }
  return found;
}

export const { assistants, threads, runs, crons, store, "~ui": ui } = Object.fromEntries(
  Object.entries(plain).map(([name, part]) => [name, part && typeof part === "object" ? noted(name, part) : part]),
);

export async function all(stream) {
  const found = [];
  for await (const part of stream) found.push(part);
  return found;
}

export const names = (events) => events.map(({ event }) => event);

// What `ask` answers as soon as it is true of anything: for what no event tells.
export async function until(ask) {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const found = await ask();
    if (found) return found;
    if (Date.now() > deadline) throw new Error("it did not come to that in time");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

// The status that a call was refused with, 0 if it was not.
export async function refused(call) {
  try {
    await call();
    return 0;
  } catch (error) {
    if (error.status === undefined) throw error;
    return error.status;
  }
}
