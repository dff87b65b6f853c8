"""The busiest routes are answered past FastAPI's own way to an endpoint, and no request gets another answer for it."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Match, compile_path

from langyard import gateway
from langyard.app import build
from langyard.config import DatabaseSettings, GatewaySettings, Settings
from langyard.gateway.passage.direct import HOT, Direct

ANYWHERE = DatabaseSettings(url="postgresql://nobody@127.0.0.1/none")


def table(prefix: str = "") -> Direct:
    api = gateway.create(build(Settings(database=ANYWHERE, gateway=GatewaySettings(mount_prefix=prefix))))
    return next(route for route in api.router.routes if isinstance(route, Direct))


def asked(path: str, method: str = "POST", kind: str = "http") -> dict[str, Any]:
    return {"type": kind, "method": method, "path": path, "root_path": ""}


@pytest.mark.parametrize("prefix", ["", "/agents"])
@pytest.mark.parametrize("path", sorted(HOT))
def test_each_of_them_is_found_under_the_prefix_with_what_its_path_says(path, prefix):
    match, found = table(prefix).matches(asked(prefix + path.replace("{thread_id}", "t-1")))
    assert match is Match.FULL
    assert isinstance(found["route"], APIRoute)
    assert found["route"].path == path
    assert found["path_params"] == ({"thread_id": "t-1"} if "{" in path else {})


@pytest.mark.parametrize(
    "scope",
    [
        asked("/runs/wait", "GET"),
        asked("/runs/wait", kind="websocket"),
        asked("/runs/wait/"),
        asked("/threads//runs/wait"),
        asked("/threads/a/b/runs/wait"),
        asked("/threads/a/runs"),
        asked("/workflow/execute/status"),
        asked("/agents/runs/wait"),
    ],
    ids=lambda scope: f"{scope['type']} {scope['method']} {scope['path']}",
)
def test_everything_else_is_left_to_the_router(scope):
    assert table().matches(scope) == (Match.NONE, {})


def test_none_of_them_depends_on_anything():
    """What it is called without would be silently missing: a parameter, a dependency, a limit of its own."""
    api = gateway.create(build(Settings(database=ANYWHERE)))
    routers = [route.original_router for route in api.router.routes if hasattr(route, "original_router")]
    found = [
        route for router in routers for route in router.routes if isinstance(route, APIRoute) and route.path in HOT
    ]
    assert {route.path for route in found} == HOT
    for route in found:
        needs = route.dependant
        names = set(compile_path(route.path)[2])
        assert (needs.dependencies, needs.query_params, needs.header_params, needs.body_params) == ([], [], [], [])
        assert {param.name for param in needs.path_params} == names
        assert needs.request_param_name == "request"
        assert route.status_code in (None, 200)
