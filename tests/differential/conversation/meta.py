"""What is asked of the server itself."""

from __future__ import annotations

from tests.differential.asking import Side


async def talk(side: Side) -> None:
    """Health, versions, routes there are not, methods they do not take, courtesies to browsers."""
    await side.ask("ok", "GET", "/ok")
    await side.ask("ok, database looked at", "GET", "/ok?check_db=1")
    await side.ask("root", "GET", "/")
    await side.ask("info", "GET", "/info")
    await side.ask("head of ok", "HEAD", "/ok")
    await side.ask("head of info", "HEAD", "/info")
    await side.ask("no such route", "GET", "/nothing/here")
    await side.ask("no such method", "PUT", "/threads")
    await side.ask("no such method of a run", "GET", "/runs")
    await side.ask("patch of a state", "PATCH", f"/threads/{await side.thread()}/state", {"metadata": {}})
    await side.ask("slash at the end", "POST", "/threads/", {}, follow_redirects=False)
    await side.ask("a user interface", "POST", "/ui/steps", {"name": "x"})
    origin = {"Origin": "https://app.example.com"}
    await side.ask("from another origin", "GET", "/ok", headers=origin)
    asking = {**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    await side.ask("preflight", "OPTIONS", "/threads", headers=asking)
