"""A real HTTP server that takes webhooks, answers as it is told and remembers what came. For the acceptance tests."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any


@dataclass
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    content: bytes

    @property
    def body(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.content)
        return found


@dataclass
class Receiver:
    """`url` takes webhooks. Of `answers`, each request takes one; 200 when there are none. A number is a status, an
    event is waited for first, a text is where to redirect."""

    url: str = ""
    answers: list[int | str | threading.Event] = field(default_factory=list)
    came: Queue[Received] = field(default_factory=Queue)

    def next(self, timeout_s: float = 30.0) -> Received:
        """The next request."""
        return self.came.get(timeout=timeout_s)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """On a free port of 127.0.0.1."""
    receiver = Receiver()

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.came.put(Received(self.path, headers, content))
            answer = receiver.answers.pop(0) if receiver.answers else 200
            if isinstance(answer, threading.Event):
                answer.wait(60)
                answer = 200
            self.send_response(answer if isinstance(answer, int) else 302)
            if isinstance(answer, str):
                self.send_header("Location", answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
