"""Runs the research example with a model: a real HTTP server that speaks the chat completion interface of OpenAI."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from tests.unit.examples.reader import LEASES, THREAD, ask, corpus_lines


class Model(BaseHTTPRequestHandler):
    """Speaks the chat completion interface of OpenAI and answers each agent from what it was sent."""

    seen: ClassVar[list[dict[str, Any]]] = []
    keys: ClassVar[set[str]] = set()
    failure: ClassVar[str] = ""

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append(request)
        self.keys.add(self.headers["Authorization"])
        system, user = (message["content"] for message in request["messages"])
        agent = system.split("You are the ")[1].split(" agent")[0]
        if self.failure == "refused" and agent == "summary":
            return self.plain(401, {"error": {"message": "Incorrect API key provided: sk-test-secret", "type": "auth"}})
        answer = "" if self.failure == "silent" and agent == "summary" else self.answer(agent, system, user)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for at in range(0, len(answer), 20):
            self.chunk({"content": answer[at : at + 20]})
            if self.failure == "cut" and agent == "summary":
                return None
        self.chunk({}, "stop")
        self.wfile.write(b"data: [DONE]\n\n")
        return None

    def answer(self, agent, system, user):
        if "Split the question" in system:
            return "1. How long does a lease last?\n2. Why was the lease shortened?"
        if agent == "research":
            passages = user.split("Passages:")[1].splitlines()
            number = next((line.split("]")[0].strip("[") for line in passages if "A lease lasts" in line), "1")
            return f"- The lease lasts 30 seconds [{number}].\n- Made up [99].\nNo source at all.\n- Both say so [1, 2]"
        return {
            "analysis": "CONFLICT [1] [2] the length of the lease\nGAP the price of a lease\nCONFLICT [1] [99] no",
            "summary": "A lease lasts 30 seconds [1]. It was shortened. [2] Nobody knows [99].",
            "report": "# The length\n[2] [1]\n# Reasons\n[3] [99]",
        }[agent]

    def chunk(self, delta, finish=None):
        choice = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": finish}
        event = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "tiny", "choices": [choice]}
        self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())

    def plain(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def model(monkeypatch):
    class Fresh(Model):
        seen: ClassVar[list[dict[str, Any]]] = []
        keys: ClassVar[set[str]] = set()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Fresh)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
    monkeypatch.setenv("OPENAI_MODEL", "tiny")
    yield Fresh
    server.shutdown()
    server.server_close()
    thread.join()


async def test_with_a_model_the_agents_ask_it_and_still_cite(graph, model):
    result = await ask(graph, "How long is a lease and why?", documents=["corpus"])
    assert all(request["model"] == "tiny" and request["stream"] for request in model.seen)
    asked = [request["messages"][0]["content"].split("You are the ")[1].split(" agent")[0] for request in model.seen]
    assert sorted(asked) == ["analysis", "report", "research", "research", "research", "research", "summary"]

    assert "A lease lasts 30 seconds. (`corpus/" in result["answer"]
    assert "It was shortened. (`corpus/" in result["answer"]
    assert "Made up" not in result["report"]
    assert "No source" not in result["report"]
    assert "Nobody knows" not in result["report"]
    assert "### The length" in result["report"]
    assert "### Reasons" in result["report"]
    assert "- **the length of the lease?**" in result["report"]
    assert "- the price of a lease" in result["report"]
    assert "put into words by tiny" in result["report"]
    cites = [cite for item in result["findings"] for cite in item["cites"]]
    assert {"source": "corpus/handbook-leases.md", "line": 9, "end": 9} in cites
    for cite in cites:
        assert "".join(corpus_lines(cite["source"])[cite["line"] - 1 : cite["end"]]).strip()


async def test_a_model_that_needs_no_key_and_one_that_does(graph, model, monkeypatch):
    await ask(graph, LEASES, documents=["corpus"])
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-secret")
    await ask(graph, LEASES)
    assert model.keys == {"Bearer none", "Bearer sk-test-secret"}


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        ("refused", "The model 'tiny' failed for the summary agent: OpenAIAuthenticationError"),
        ("cut", "The model 'tiny' broke off in the middle of its answer for the summary agent."),
        ("silent", "The model 'tiny' returned nothing for the summary agent."),
    ],
)
async def test_a_failing_model_ends_the_run_with_a_sentence(graph, model, monkeypatch, failure, sentence):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-secret")
    monkeypatch.setattr(model, "failure", failure)
    with pytest.raises(RuntimeError, match=re.escape(sentence)) as raised:
        await ask(graph, LEASES, documents=["corpus"])
    assert "sk-test-secret" not in str(raised.value)
    monkeypatch.setattr(model, "failure", "")
    assert "A lease lasts 30 seconds" in (await graph.ainvoke(None, THREAD))["answer"]


async def test_a_model_nobody_serves_is_named(graph, monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), Model) as closed:
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{closed.server_port}/v1")
    with pytest.raises(
        RuntimeError, match=r"failed for the research agent: OpenAIConnectionError.*Unset OPENAI_API_KEY"
    ):
        await ask(graph, LEASES, documents=["corpus"])
