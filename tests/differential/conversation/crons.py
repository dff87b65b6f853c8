"""What is asked of crons."""

from __future__ import annotations

from typing import Any

from tests.differential.asking import Side

NOBODY = "99999999-9999-4999-8999-999999999999"
YEARLY = "0 0 1 1 *"

BAD: dict[str, Any] = {
    "nothing": {},
    "no schedule": {"assistant_id": "steps"},
    "bad schedule": {"assistant_id": "steps", "schedule": "bad"},
    "schedule out of bounds": {"assistant_id": "steps", "schedule": "99 * * * *"},
    "impossible date": {"assistant_id": "steps", "schedule": "0 0 31 2 *"},
    "bad timezone": {"assistant_id": "steps", "schedule": YEARLY, "timezone": "Mars/X"},
    "no such graph": {"assistant_id": "nope", "schedule": YEARLY},
    "assistant of nobody": {"assistant_id": NOBODY, "schedule": YEARLY},
    "bad end": {"assistant_id": "steps", "schedule": YEARLY, "end_time": "soon"},
    "on_run_completed nothing": {"assistant_id": "steps", "schedule": YEARLY, "on_run_completed": "nothing"},
    "enabled is a string": {"assistant_id": "steps", "schedule": YEARLY, "enabled": "yes"},
    "stream_mode nothing": {"assistant_id": "steps", "schedule": YEARLY, "stream_mode": "nothing"},
    "metadata is a list": {"assistant_id": "steps", "schedule": YEARLY, "metadata": []},
}


async def talk(side: Side) -> None:
    """Made, read, changed, found, deleted; with what they hang on."""
    thread_id = await side.thread()
    for name, body in BAD.items():
        await side.ask(f"cron, {name}", "POST", "/runs/crons", body)
    await side.ask(
        "cron on nobody", "POST", f"/threads/{NOBODY}/runs/crons", {"assistant_id": "steps", "schedule": YEARLY}
    )
    await side.ask(
        "cron on no thread id", "POST", "/threads/x/runs/crons", {"assistant_id": "steps", "schedule": YEARLY}
    )
    least = await side.ask(
        "cron, least", "POST", "/runs/crons", {"assistant_id": "steps", "schedule": YEARLY, "metadata": {"found": 1}}
    )
    full = {
        "assistant_id": "steps", "schedule": "0 9 * * 1", "timezone": "America/New_York", "input": {"x": 1},
        "context": {"a": 1},
        "metadata": {"found": 1, "m": 2}, "config": {"tags": ["t"]}, "interrupt_before": ["a"],
        "on_run_completed": "keep",
        "enabled": False, "stream_mode": ["values", "updates"], "stream_subgraphs": True, "stream_resumable": True,
        "durability": "sync", "end_time": "2999-01-01T00:00:00+00:00",
    }  # fmt: skip
    made = await side.ask("cron, full", "POST", "/runs/crons", full)
    own = {"assistant_id": "steps", "schedule": YEARLY, "multitask_strategy": "reject", "metadata": {"found": 1}}
    await side.ask("cron on a thread", "POST", f"/threads/{thread_id}/runs/crons", own)
    await side.ask("cron, seconds", "POST", "/runs/crons", {"assistant_id": "steps", "schedule": "0 0 1 1 * 30"})
    await side.ask("cron, words", "POST", "/runs/crons", {"assistant_id": "steps", "schedule": "@yearly"})
    await side.ask("cron, names", "POST", "/runs/crons", {"assistant_id": "steps", "schedule": "0 0 * jan mon"})
    place = f"/runs/crons/{made['cron_id']}"
    await side.ask("cron, read", "GET", place)
    await side.ask("cron of nobody", "GET", f"/runs/crons/{NOBODY}")
    await side.ask("cron of no id", "GET", "/runs/crons/x")
    for name, body in {
        "nothing": {}, "schedule": {"schedule": "30 9 * * 1"}, "timezone": {"timezone": "Europe/Berlin"},
        "no end": {"end_time": None},
        "enabled": {"enabled": True}, "input": {"input": {"x": 9}}, "metadata": {"metadata": {"other": 1}},
        "bad schedule": {"schedule": "bad"}, "bad timezone": {"timezone": "Mars/X"},
        "schedule is null": {"schedule": None},
        "config": {"config": {"tags": ["u"]}}, "keep": {"on_run_completed": "delete"},
    }.items():  # fmt: skip
        await side.ask(f"patch of a cron, {name}", "PATCH", place, body)
    await side.ask("patch of a cron of nobody", "PATCH", f"/runs/crons/{NOBODY}", {"enabled": False})
    await side.ask("patch of a cron of no id", "PATCH", "/runs/crons/x", {"enabled": False})
    wanted = {"metadata": {"found": 1}, "sort_by": "created_at", "sort_order": "asc"}
    await side.ask("search of crons", "POST", "/runs/crons/search", wanted)
    await side.ask(
        "search of crons, page", "POST", "/runs/crons/search", {**wanted, "limit": 1, "select": ["schedule"]}
    )
    await side.ask(
        "search of crons by thread", "POST", "/runs/crons/search", {"thread_id": thread_id, "select": ["schedule"]}
    )
    await side.ask(
        "search of crons, enabled", "POST", "/runs/crons/search", {**wanted, "enabled": False, "select": ["schedule"]}
    )
    await side.ask("search of crons, sort_by nothing", "POST", "/runs/crons/search", {"sort_by": "nothing"})
    await side.ask("search of crons, limit 0", "POST", "/runs/crons/search", {"limit": 0})
    await side.ask("search of crons, bad thread", "POST", "/runs/crons/search", {"thread_id": "x"})
    await side.ask("count of crons", "POST", "/runs/crons/count", {"metadata": {"found": 1}})
    await side.ask("count of crons by thread", "POST", "/runs/crons/count", {"thread_id": thread_id})
    await side.ask("delete of a cron", "DELETE", f"/runs/crons/{least['cron_id']}")
    await side.ask("delete of a cron again", "DELETE", f"/runs/crons/{least['cron_id']}")
    await side.ask("delete of no cron id", "DELETE", "/runs/crons/x")
    await side.quietly("DELETE", f"/threads/{thread_id}")
    await side.ask("crons of a thread that is gone", "POST", "/runs/crons/count", {"thread_id": thread_id})
    assistant = (await side.quietly("POST", "/assistants", {"graph_id": "steps"}))["assistant_id"]
    await side.quietly("POST", "/runs/crons", {"assistant_id": assistant, "schedule": YEARLY})
    await side.ask("crons of an assistant", "POST", "/runs/crons/count", {"assistant_id": assistant})
    await side.quietly("DELETE", f"/assistants/{assistant}")
    await side.ask("crons of an assistant that is gone", "POST", "/runs/crons/count", {"assistant_id": assistant})
