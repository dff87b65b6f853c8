"""A project with `auth`, as users write it, on a real server: for the tests of who may do what."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from langyard.app import App
from langyard.config import read_project
from tests.unit.gateway.serving import Served, serve

# The pattern of LangGraph's own documentation: whatever is made is its maker's, and nobody else sees it.
OWNERS = """
from langgraph_sdk import Auth

auth = Auth()
asked = []


@auth.authenticate
async def authenticate(authorization: str | None, headers: dict) -> dict:
    scheme, _, token = (authorization or "").partition(" ")
    if scheme != "Bearer" or not token:
        raise Auth.exceptions.HTTPException(status_code=401, detail="Who are you?")
    if token == "blocked":
        raise Auth.exceptions.HTTPException(status_code=403, detail="Not you.")
    return {"identity": token, "permissions": ["p:" + token], "org": "acme"}


@auth.on
async def owner(ctx, value):
    asked.append((ctx.resource, ctx.action, ctx.user.identity, dict(value)))
    mine = {"owner": ctx.user.identity}
    value.setdefault("metadata", {}).update(mine)
    return mine


@auth.on.store
async def scoped(ctx, value):
    asked.append((ctx.resource, ctx.action, ctx.user.identity, dict(value)))
    value["namespace"] = (ctx.user.identity, *(value.get("namespace") or ()))
"""

GRAPH = '''
import operator
from typing import Annotated, Any
from typing_extensions import TypedDict
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from langgraph_sdk.runtime import ServerRuntime


class State(TypedDict, total=False):
    x: int
    seen: dict[str, Any]


async def look(state: State, config: RunnableConfig, runtime: Runtime) -> State:
    configurable = config["configurable"]
    user = configurable.get("langgraph_auth_user")
    known = runtime.server_info.user if runtime.server_info else None
    return {
        "x": state.get("x", 0) + 1,
        "seen": {
            "user": dict(user) if user is not None else None,
            "identity": user.identity if user is not None else None,
            "org": user["org"] if user is not None and "org" in user else None,
            "server_info": known.identity if known is not None else None,
            "configurable": {k: v for k, v in configurable.items() if isinstance(v, str | list)},
        },
    }


graph = StateGraph(State)
graph.add_node("look", look)
graph.add_edge(START, "look")


accesses = []


def made(runtime: ServerRuntime, config: RunnableConfig):
    """A graph whose node tells who it was made for."""
    who = runtime.user.identity if runtime.user is not None else None
    accesses.append((runtime.access_context, who, config["configurable"].get("langgraph_auth_user_id")))
    inner = StateGraph(State)
    inner.add_node("tell", lambda state: {"seen": {"made_for": who, "access": runtime.access_context}})
    inner.add_edge(START, "tell")
    return inner


def ask(state: State) -> State:
    return {"seen": {"answer": interrupt("well?")}}


asking = StateGraph(State)
asking.add_node("ask", ask)
asking.add_edge(START, "ask")
'''


@dataclass
class Guarded:
    """A server with `auth`, and clients of it by user."""

    served: Served
    clients: dict[str, LangGraphClient] = field(default_factory=dict)

    @property
    def app(self) -> App:
        return self.served.app

    @property
    def asked(self) -> list[Any]:
        """What the handlers were asked."""
        assert self.app.gate is not None
        found: list[Any] = self.app.gate._authenticate.__globals__["asked"]
        return found

    def sdk(self, user: str) -> Any:
        if user not in self.clients:
            self.clients[user] = get_client(url=str(self.served.http.base_url), headers=self.as_user(user))
        return self.clients[user]

    def as_user(self, user: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {user}"}


def project(folder: Path, source: str | None = OWNERS, **sections: Any) -> Path:
    """A project with these sections besides its graphs and, unless `source` is None, its `auth`."""
    (folder / "agent.py").write_text(GRAPH, "utf-8")
    graphs = {"look": "./agent.py:graph", "made": "./agent.py:made", "asking": "./agent.py:asking"}
    auth = {}
    if source is not None:
        (folder / "auth.py").write_text(source, "utf-8")
        auth = {"auth": {"path": "./auth.py:auth", **sections.pop("auth", {})}}
    content = {"dependencies": ["."], "graphs": graphs, **auth, **sections}
    (folder / "langgraph.json").write_text(json.dumps(content), "utf-8")
    return folder / "langgraph.json"


@asynccontextmanager
async def guarded(
    database: str, folder: Path, source: str | None = OWNERS, settings: dict[str, Any] | None = None, **sections: Any
) -> AsyncIterator[Guarded]:
    """The project served, under these settings of the gateway."""
    found = read_project(project(folder, source, **sections))
    async with serve(database, project=found, **(settings or {})) as served:
        server = Guarded(served)
        try:
            yield server
        finally:
            for client in server.clients.values():
                await client.aclose()
