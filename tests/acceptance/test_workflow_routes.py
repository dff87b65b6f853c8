"""The workflow routes on a real server and a real database: every promise of docs/reference/http.md."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections import Counter
from collections.abc import AsyncIterator

import psycopg
import pytest

from tests.unit.gateway.serving import Served, events, serve, until


@pytest.fixture
async def served(database: str) -> AsyncIterator[Served]:
    async with serve(database) as found:
        yield found


def rows(database: str, table: str) -> int:
    with psycopg.connect(database) as connection:
        found = connection.execute(f"select count(*) from {table}").fetchone()
    assert found is not None
    return int(found[0])


async def test_execute_answers_with_the_state_and_keeps_it_for_the_session(served: Served):
    first = await served.execute("echo", {"x": 1}, session_id="s")
    assert first.status_code == 200
    assert first.headers["content-type"] == "application/json"
    body = first.json()
    assert body["status"] == "success"
    assert body["result"] == {"x": 2, "log": ["x=1"]}
    assert body["session_id"] == "s"
    assert isinstance(body["execution_time"], float)
    assert 0 < body["execution_time"] < 30
    assert "interrupts" not in body
    second = (await served.execute("echo", session_id="s")).json()
    assert second["result"] == {"x": 3, "log": ["x=1", "x=2"]}
    assert second["run_id"] != body["run_id"]


async def test_without_a_session_id_one_is_made(served: Served):
    one, two = (await served.execute("echo")).json(), (await served.execute("echo")).json()
    assert one["session_id"] != two["session_id"]
    again = (await served.execute("echo", session_id=one["session_id"])).json()
    assert again["result"]["x"] == 2


async def test_names_in_every_script_reach_the_graph_unchanged(served: Served):
    said = {"text": "naïve 進捗 👩‍🚀 \u0000 end", "log": ["é", {"ключ": "\u0000"}]}
    session = "会話 / №1 👩‍🚀?#%"
    found = await served.execute("echo", said, user="Ådä 李", session_id=session)
    assert found.status_code == 200, found.text
    assert found.json()["session_id"] == session
    assert found.json()["result"]["text"].startswith("naïve 進捗 👩‍🚀 ")
    status = await served.http.get(f"/workflow/{quoted(session)}/status", params={"user_id": "Ådä 李"})
    assert status.json()["session_id"] == session
    gone = await served.http.delete(f"/workflow/{quoted(session)}", params={"user_id": "Ådä 李"})
    assert gone.status_code == 204


def quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


async def test_a_result_that_json_has_no_form_for_is_answered_all_the_same(served: Served):
    found = await served.execute("strange")
    assert found.status_code == 200
    assert found.json()["result"]["log"][1] is None


async def test_two_at_once_on_one_session_run_one_after_the_other(served: Served):
    slow = asyncio.create_task(served.execute("gate", {"log": ["slow"]}, session_id="s"))
    await served.gate.reached()
    quick = [asyncio.create_task(served.execute("echo", {"log": [n]}, session_id="s")) for n in range(5)]
    status = await served.http.get("/workflow/s/status", params={"user_id": "ada"})
    assert status.json()["status"] == "busy"
    served.gate.open.set()
    answers = [(await task).json() for task in (slow, *quick)]
    assert [answer["status"] for answer in answers] == ["success"] * 6
    longest = max(answers, key=lambda answer: len(answer["result"]["log"]))["result"]["log"]
    assert longest[:3] == ["slow", "x=0", "through"]
    assert sorted(entry for entry in longest if isinstance(entry, int)) == [0, 1, 2, 3, 4]
    for answer in answers:
        assert longest[: len(answer["result"]["log"])] == answer["result"]["log"]


async def test_a_run_that_had_to_wait_gets_its_input_unchanged(served: Served, database: str):
    running = asyncio.create_task(served.execute("gate", session_id="s"))
    await served.gate.reached()
    said = {"text": "before\x00after", "log": [{"nested": "\x00"}, 0.1, 2**53 + 1, None]}
    queued = asyncio.create_task(served.execute("measure", said, session_id="s"))
    await until(lambda: rows(database, "langyard.runs") == 2)
    served.gate.open.set()
    await running
    assert (await queued).json()["result"]["log"][-1] == {"length": 12, "log": [1, 0.1, 2**53 + 1, None]}


async def test_the_first_request_makes_the_session_and_its_thread_with_its_run(
    served: Served, database: str, monkeypatch
):
    async def apart(*_: object) -> str:
        raise AssertionError("the session was made in a statement of its own")

    monkeypatch.setattr(served.app.sessions, "ensure", apart)
    named = (await served.execute("echo", session_id="new")).json()["session_id"]
    nameless = (await served.execute("echo")).json()["session_id"]
    found = "select s.session_id, s.ttl, t.metadata from langyard.sessions s join langyard.threads t using (thread_id)"
    with psycopg.connect(database) as connection:
        made = {row[0]: row[1:] for row in connection.execute(found)}
    hour = dt.timedelta(hours=1)
    assert made == {
        name: (hour, {"graph_id": "echo", "session_id": name, "user_id": "ada"}) for name in (named, nameless)
    }


async def test_many_first_requests_of_one_session_all_run(served: Served):
    answers = await asyncio.gather(*(served.execute("echo", session_id="new") for _ in range(10)))
    assert [answer.status_code for answer in answers] == [200] * 10
    assert sorted(answer.json()["result"]["x"] for answer in answers) == list(range(1, 11))


async def test_who_goes_away_leaves_a_run_that_goes_on(served: Served):
    request = asyncio.create_task(served.execute("gate", session_id="s"))
    await served.gate.reached()
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    following = asyncio.create_task(served.execute("echo", session_id="s"))
    served.gate.open.set()
    assert (await following).json()["result"]["log"] == ["x=0", "through", "x=1"]


async def test_a_failing_graph_tells_an_incident_and_nothing_else(served: Served, caplog: pytest.LogCaptureFixture):
    found = await served.execute("fail", session_id="s")
    assert found.status_code == 500
    assert "hunter2" not in found.text
    body = found.json()
    assert body["code"] == "workflow_failed"
    assert body["incident_id"] in body["detail"]
    told = [record for record in caplog.records if getattr(record, "run_id", None) == body["incident_id"]]
    assert any(record.exc_info and "hunter2" in str(record.exc_info[1]) for record in told)
    status = (await served.http.get("/workflow/s/status", params={"user_id": "ada"})).json()
    assert (status["status"], status["run"]["status"]) == ("error", "error")
    assert "hunter2" not in json.dumps(status)
    assert (await served.execute("echo", session_id="s")).json()["result"]["x"] == 2


async def test_the_recursion_limit_says_what_to_do(served: Served):
    found = await served.execute("loop", config={"recursion_limit": 7})
    assert found.status_code == 500
    assert found.json()["code"] == "recursion_limit_reached"
    assert "7" in found.json()["detail"]
    assert "config.recursion_limit" in found.json()["detail"]


async def test_a_node_that_never_returns_meets_the_time_out(served: Served):
    found = await served.execute("hang", timeout=0.2)
    assert found.status_code == 504
    assert found.json()["code"] == "workflow_timeout"
    assert "0.2 seconds" in found.json()["detail"]


async def test_the_servers_own_time_out_is_the_longest(database: str):
    async with serve(database, runs={"timeout_seconds": 0.2}) as served:
        assert (await served.execute("hang")).status_code == 504
        assert (await served.execute("hang", timeout=3600)).status_code == 504


async def test_an_interrupt_is_reported_and_answered(served: Served):
    asked = (await served.execute("ask", {"x": 4}, session_id="s")).json()
    assert asked["status"] == "interrupted"
    assert asked["result"] == {"x": 4, "log": []}
    [interrupt] = asked["interrupts"]
    assert interrupt == {"id": interrupt["id"], "value": {"question": "may I?"}}
    status = (await served.http.get("/workflow/s/status", params={"user_id": "ada"})).json()
    assert status["status"] == "interrupted"
    assert status["interrupts"] == asked["interrupts"]
    assert status["workflow_type"] == "ask"
    answered = await served.http.post("/workflow/s/resume", json={"user_id": "ada", "answer": {"yes": [1, None]}})
    assert answered.json()["status"] == "success"
    assert answered.json()["result"] == {"x": 5, "log": [{"yes": [1, None]}, "x=4"]}
    status = (await served.http.get("/workflow/s/status", params={"user_id": "ada"})).json()
    assert (status["status"], status["interrupts"]) == ("idle", [])


@pytest.mark.parametrize("answer", [None, False, 0, "", [], {}, "yes", {"a" * 32: 1}])
async def test_any_json_is_an_answer(served: Served, answer: object):
    await served.execute("ask", session_id="s")
    answered = await served.http.post("/workflow/s/resume", json={"user_id": "ada", "answer": answer})
    assert answered.json()["result"]["log"] == [answer, "x=0"]


async def test_of_twenty_identical_answers_one_runs(served: Served, database: str):
    await served.execute("ask", session_id="s")
    before = rows(database, "langyard.runs")
    body = {"user_id": "ada", "answer": "yes"}
    answers = await asyncio.gather(*(served.http.post("/workflow/s/resume", json=body) for _ in range(20)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 19}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"nothing_to_resume"}
    assert rows(database, "langyard.runs") == before + 1


async def test_nothing_to_resume(served: Served):
    await served.execute("echo", session_id="s")
    found = await served.http.post("/workflow/s/resume", json={"user_id": "ada", "answer": 1})
    assert (found.status_code, found.json()["code"]) == (409, "nothing_to_resume")


async def test_of_several_interrupts_it_must_be_said_which(served: Served):
    asked = (await served.execute("ask-two", session_id="s")).json()
    ids = {entry["value"]: entry["id"] for entry in asked["interrupts"]}
    assert set(ids) == {"left?", "right?"}
    unclear = await served.http.post("/workflow/s/resume", json={"user_id": "ada", "answer": "yes"})
    assert unclear.status_code == 422
    assert all(id in unclear.json()["detail"] for id in ids.values())
    wrong = await served.http.post("/workflow/s/resume", json={"user_id": "ada", "answer": 1, "interrupt_id": "nope"})
    assert wrong.status_code == 422
    body = {"user_id": "ada", "answer": "L", "interrupt_id": ids["left?"]}
    one = (await served.http.post("/workflow/s/resume", json=body)).json()
    assert (one["status"], [entry["value"] for entry in one["interrupts"]]) == ("interrupted", ["right?"])
    two = (await served.http.post("/workflow/s/resume", json={"user_id": "ada", "answer": "R"})).json()
    assert (two["status"], sorted(two["result"]["log"])) == ("success", ["L", "R"])


async def test_several_interrupts_answered_at_once(served: Served):
    asked = (await served.execute("ask-two", session_id="s")).json()
    answers = {entry["id"]: entry["value"].upper() for entry in asked["interrupts"]}
    done = (await served.http.post("/workflow/s/resume", json={"user_id": "ada", "answer": answers})).json()
    assert (done["status"], sorted(done["result"]["log"])) == ("success", ["LEFT?", "RIGHT?"])


async def test_a_breakpoint_goes_on_without_an_answer(served: Served):
    paused = (await served.execute("paused", session_id="s")).json()
    assert (paused["status"], paused["interrupts"]) == ("interrupted", [])
    refused = await served.http.post("/workflow/s/resume", json={"user_id": "ada", "answer": "x"})
    assert refused.status_code == 422
    done = (await served.http.post("/workflow/s/resume", json={"user_id": "ada", "answer": None})).json()
    assert (done["status"], done["result"]["log"]) == ("success", ["x=0", "x=1"])


async def test_delete_leaves_nothing(served: Served, database: str):
    await served.execute("ask", session_id="s")
    await served.execute("ask-two", session_id="other")
    tables = ["langyard.sessions", "langyard.threads", "langyard.runs", "checkpoints", "checkpoint_blobs"]
    before = {table: rows(database, table) for table in tables}
    assert all(before.values())
    gone = await served.http.delete("/workflow/s", params={"user_id": "ada"})
    assert (gone.status_code, gone.content) == (204, b"")
    assert rows(database, "langyard.sessions") == rows(database, "langyard.threads") == 1
    await served.http.delete("/workflow/other", params={"user_id": "ada"})
    tables += ["checkpoint_writes", "langyard.events"]
    assert {table: rows(database, table) for table in tables} == dict.fromkeys(tables, 0)
    again = await served.http.delete("/workflow/s", params={"user_id": "ada"})
    assert (again.status_code, again.json()["code"]) == (404, "session_not_found")
    assert (await served.execute("echo", session_id="s")).json()["result"]["x"] == 1


async def test_delete_stops_what_runs_and_tells_who_waits(served: Served, database: str):
    running = asyncio.create_task(served.execute("gate", session_id="s"))
    await served.gate.reached()
    queued = asyncio.create_task(served.execute("echo", session_id="s"))
    await until(lambda: rows(database, "langyard.runs") == 2)
    gone = await served.http.delete("/workflow/s", params={"user_id": "ada"})
    assert gone.status_code == 204
    for waiting in (running, queued):
        answer = await waiting
        assert (answer.status_code, answer.json()["code"]) == (409, "workflow_cancelled")
    tables = ["langyard.sessions", "langyard.threads", "langyard.runs", "checkpoints", "checkpoint_writes"]
    assert {table: rows(database, table) for table in tables} == dict.fromkeys(tables, 0)


async def test_another_users_session_does_not_exist(served: Served):
    await served.execute("ask", session_id="s")
    foreign = {"user_id": "eve"}
    found = [
        await served.execute("echo", user="eve", session_id="s"),
        await served.http.get("/workflow/s/status", params=foreign),
        await served.http.post("/workflow/s/resume", json={**foreign, "answer": 1}),
        await served.http.delete("/workflow/s", params=foreign),
        await served.http.get("/sessions/s", params=foreign),
        await served.http.patch("/sessions/s", json={**foreign, "data": {}}),
        await served.http.delete("/sessions/s", params=foreign),
    ]
    absent = (await served.http.get("/workflow/absent/status", params=foreign)).text.replace("absent", "s")
    assert {(answer.status_code, answer.text) for answer in found} == {(404, absent)}
    assert (await served.http.get("/sessions", params=foreign)).json()["sessions"] == []
    status = (await served.http.get("/workflow/s/status", params={"user_id": "ada"})).json()
    assert status["status"] == "interrupted"


async def test_an_unknown_workflow_names_those_there_are(served: Served):
    found = await served.execute("ecko")
    assert (found.status_code, found.json()["code"]) == (404, "workflow_not_found")
    assert "echo" in found.json()["detail"]
    assert "ask-two" in found.json()["detail"]


async def test_workflows_are_listed_with_their_schemas(served: Served):
    listed = (await served.http.get("/workflows")).json()["workflows"]
    assert [entry["name"] for entry in listed] == sorted(served.app.graphs.names())
    one = (await served.http.get("/workflows/echo")).json()
    assert one == next(entry for entry in listed if entry["name"] == "echo")
    assert one["schemas"]["input"]["properties"]["x"]["type"] == "integer"
    assert (await served.http.get("/workflows/nope")).json()["code"] == "workflow_not_found"


async def test_stream_tells_the_run_as_it_goes(served: Served):
    body = {"workflow_type": "narrate", "input_data": {"x": 1}, "user_id": "ada", "session_id": "s"}
    modes = ["updates", "custom", "values", "messages"]
    async with served.http.stream("POST", "/workflow/stream", json={**body, "stream_mode": modes}) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-accel-buffering"] == "no"
        told = [event async for event in events(response)]
    names = [name for name, _ in told]
    assert names[0] == "metadata"
    assert told[0][1]["session_id"] == "s"
    assert names[-1] == "end"
    assert names.count("end") == 1
    assert Counter(names)["values"] == 3
    assert ("custom", {"progress": "halfway", "Ünïcode": "進捗�"}) in told
    assert ("updates", {"count": {"x": 2, "log": ["x=1"]}}) in told
    end = told[-1][1]
    assert (end["status"], end["result"]) == ("success", {"x": 2, "log": ["told", "x=1"]})
    assert end["run_id"] == told[0][1]["run_id"]
    assert set(end) == {"status", "result", "execution_time", "session_id", "run_id"}


async def test_stream_shows_updates_and_custom_unless_told_otherwise(served: Served):
    body = {"workflow_type": "narrate", "input_data": {}, "user_id": "ada"}
    async with served.http.stream("POST", "/workflow/stream", json=body) as response:
        assert {name async for name, _ in events(response)} == {"metadata", "custom", "updates", "end"}


async def test_stream_frames_have_crlf_and_the_id_last(served: Served):
    body = {"workflow_type": "echo", "input_data": {}, "user_id": "ada"}
    raw = (await served.http.post("/workflow/stream", json=body)).content
    frames = raw.split(b"\r\n\r\n")
    assert raw.replace(b"\r\n", b"").count(b"\n") == 0
    assert frames.pop() == b""
    for frame in frames[:-1]:
        assert [line.split(b":")[0] for line in frame.split(b"\r\n")] == [b"event", b"data", b"id"]
    assert frames[-1].startswith(b"event: end\r\ndata: {")


async def test_stream_tells_of_failure_what_execute_would(served: Served):
    body = {"workflow_type": "fail", "input_data": {}, "user_id": "ada"}
    response = await served.http.post("/workflow/stream", json=body)
    assert response.status_code == 200
    assert "hunter2" not in response.text
    told = [event async for event in events(response)]
    assert [name for name, _ in told] == ["metadata", "updates", "error", "end"]
    assert told[-1][1] == told[-2][1]
    assert told[-1][1]["code"] == "workflow_failed"


async def test_what_is_wrong_with_a_stream_is_known_before_it_begins(served: Served):
    body = {"workflow_type": "nope", "input_data": {}, "user_id": "ada"}
    response = await served.http.post("/workflow/stream", json=body)
    assert (response.status_code, response.json()["code"]) == (404, "workflow_not_found")
    response = await served.http.post("/workflow/stream", json={**body, "stream_mode": ["nonsense"]})
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert "stream_mode.0" in response.json()["detail"]


async def test_a_quiet_stream_has_a_heartbeat_and_leaving_it_stops_nothing(database: str):
    async with serve(database, heartbeat_seconds=0.05) as served:
        body = {"workflow_type": "gate", "input_data": {}, "user_id": "ada", "session_id": "s"}
        async with served.http.stream("POST", "/workflow/stream", json=body) as response:
            beats = 0
            async for name, _ in events(response):
                beats += name == ":"
                if beats == 3:
                    break
        following = asyncio.create_task(served.execute("echo", session_id="s"))
        served.gate.open.set()
        assert (await following).json()["result"]["log"] == ["x=0", "through", "x=1"]


async def test_resume_can_be_streamed(served: Served):
    await served.execute("ask", session_id="s")
    body = {"user_id": "ada", "answer": "yes", "stream_mode": ["updates"]}
    response = await served.http.post("/workflow/s/resume", json=body, headers={"Accept": "text/event-stream"})
    told = [event async for event in events(response)]
    assert [name for name, _ in told] == ["metadata", "updates", "updates", "end"]
    assert told[-1][1]["result"]["log"] == ["yes", "x=0"]


async def test_an_idempotency_key_runs_once_and_repeats_the_answer(served: Served, database: str):
    key = {"Idempotency-Key": "k1"}
    first = await served.execute("echo", {"x": 1}, session_id="s", headers=key)
    assert "idempotent-replayed" not in first.headers
    again = await served.execute("echo", {"x": 1}, session_id="s", headers=key)
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert rows(database, "langyard.runs") == 1
    other = await served.execute("echo", {"x": 2}, session_id="s", headers=key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    somebody_else = await served.execute("echo", {"x": 1}, user="eve", headers=key)
    assert somebody_else.status_code == 200
    assert rows(database, "langyard.runs") == 2


async def test_the_order_of_keys_in_a_body_does_not_make_another_request(served: Served):
    body = b'{"workflow_type":"echo","input_data":{"x":1,"text":"t"},"user_id":"ada"}'
    other = b'{ "user_id":"ada","input_data":{"text":"t", "x":1},"workflow_type":"echo"}'
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    first = await served.http.post("/workflow/execute", content=body, headers=headers)
    assert (await served.http.post("/workflow/execute", content=other, headers=headers)).content == first.content


async def test_requests_with_one_key_at_once_share_one_run(served: Served, database: str):
    key = {"Idempotency-Key": "k"}
    waiting = [asyncio.create_task(served.execute("gate", headers=key)) for _ in range(10)]
    await served.gate.reached()
    served.gate.open.set()
    answers = [await task for task in waiting]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert rows(database, "langyard.runs") == rows(database, "langyard.sessions") == 1
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 9


async def test_a_failure_is_repeated_too(served: Served, database: str):
    key = {"Idempotency-Key": "k"}
    first, again = await served.execute("fail", headers=key), await served.execute("fail", headers=key)
    assert (first.status_code, again.status_code) == (500, 500)
    assert first.content == again.content
    assert rows(database, "langyard.runs") == 1


async def test_a_key_whose_request_was_refused_may_come_again(served: Served):
    key = {"Idempotency-Key": "k"}
    assert (await served.execute("nope", headers=key)).status_code == 404
    assert (await served.execute("echo", headers=key)).status_code == 200


async def test_a_streams_end_is_repeated(served: Served, database: str):
    body = {"workflow_type": "narrate", "input_data": {}, "user_id": "ada"}
    headers = {"Idempotency-Key": "k"}
    first = await served.http.post("/workflow/stream", json=body, headers=headers)
    again = await served.http.post("/workflow/stream", json=body, headers=headers)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["content-type"] == first.headers["content-type"]
    [end] = [event async for event in events(again)]
    assert end == [event async for event in events(first)][-1]
    assert rows(database, "langyard.runs") == 1
    execute = await served.http.post("/workflow/execute", json=body, headers=headers)
    assert execute.status_code == 409


async def test_an_answer_that_was_never_kept_is_made_from_the_run(served: Served, database: str):
    key = {"Idempotency-Key": "k"}
    first = (await served.execute("echo", {"x": 1}, headers=key)).json()
    with psycopg.connect(database, autocommit=True) as connection:
        # What a crash between the run's end and its answer leaves behind.
        connection.execute("update langyard.idempotency_keys set status = null, body = null")
    again = await served.execute("echo", {"x": 1}, headers=key)
    assert again.headers["idempotent-replayed"] == "true"
    assert {**again.json(), "execution_time": 0} == {**first, "execution_time": 0}
    assert (await served.execute("echo", {"x": 1}, headers=key)).content == again.content
    assert rows(database, "langyard.runs") == 1


async def test_a_key_whose_run_was_never_made_starts_it(served: Served, database: str):
    key = {"Idempotency-Key": "k"}
    await served.execute("echo", {"x": 1}, session_id="s", headers=key)
    with psycopg.connect(database, autocommit=True) as connection:
        # What a crash between the key and the run leaves behind.
        connection.execute("update langyard.idempotency_keys set status = null, body = null")
        connection.execute("delete from langyard.runs")
        connection.execute("update langyard.threads set open_runs = 0")
    again = await served.execute("echo", {"x": 1}, session_id="s", headers=key)
    assert again.status_code == 200
    assert rows(database, "langyard.runs") == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there"])
async def test_a_key_must_be_printable(served: Served, key: str):
    found = await served.execute("echo", headers={"Idempotency-Key": key})
    assert (found.status_code, found.json()["code"]) == (422, "invalid_request")


async def test_resume_takes_a_key_too(served: Served, database: str):
    await served.execute("ask", session_id="s")
    body, headers = {"user_id": "ada", "answer": "yes"}, {"Idempotency-Key": "k"}
    first = await served.http.post("/workflow/s/resume", json=body, headers=headers)
    again = await served.http.post("/workflow/s/resume", json=body, headers=headers)
    assert (first.status_code, first.content) == (200, again.content)
    assert rows(database, "langyard.runs") == 2


async def test_health_says_so(served: Served):
    found = (await served.http.get("/health")).json()
    assert found["status"] == "healthy"
    assert found["timestamp"].endswith("+00:00")
    ready = await served.http.get("/health/ready")
    assert ready.status_code == 200
    assert ready.json()["status"] == "ready"
    assert ready.json()["dependencies"]["postgresql"]["status"] == "healthy"
    assert ready.json()["dependencies"]["postgresql"]["latency_ms"] > 0
    assert ready.json()["draining"] is False
    assert (await served.http.head("/health")).status_code == 200
    served.app.draining = True
    ready = await served.http.get("/health/ready")
    assert (ready.status_code, ready.json()["status"], ready.json()["draining"]) == (503, "unready", True)
