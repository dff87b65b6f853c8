"""A start whose answer was lost with its connection is sent again, and finds the run that it has made."""

from __future__ import annotations

from langyard.model.ids import uuid7
from langyard.model.runs import RunRequest
from langyard.postgres import starts
from tests.unit.runs.bench import Bench


async def test_the_claim_it_finds_is_as_whole_as_the_one_that_was_lost(bench: Bench):
    made = "insert into langyard.threads (thread_id, config) values (%(id)s, %(config)s::jsonb)"
    await bench.database.execute(made, {"id": bench.thread_id, "config": '{"configurable": {"tone": "kind"}}'})
    request = RunRequest(uuid7(), "agent", {"input": {"x": 1}}, user_id="ada", thread_id=bench.thread_id)
    lost = await starts.start(bench.database, request, bench.worker_id)
    found = await starts.start(bench.database, request, bench.worker_id)
    assert lost is not None
    assert lost.claimed is not None
    assert found is not None
    assert found.claimed is not None
    for fact in ("run_id", "thread_id", "kwargs", "attempt", "fence", "user_id", "metadata", "thread_config"):
        assert getattr(found.claimed, fact) == getattr(lost.claimed, fact), fact
    elsewhere = await starts.start(bench.database, request, None)
    assert elsewhere is not None
    assert elsewhere.claimed is None
    assert elsewhere.run.status == "running"
