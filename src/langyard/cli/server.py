"""uvicorn around one process's application: opened, announced, drained and closed in order; `serve` calls it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

import uvicorn

from langyard.app import App
from langyard.cli import listening
from langyard.cli.supervised.child import Child
from langyard.cli.supervised.doors import Door, Tally
from langyard.gateway import create, probes
from langyard.gateway.vitals import Vitals

# Objects made, less those gone again, between two looks for young cycles.
_YOUNG = 20_000
# How long one thread may hold the interpreter while another waits for it.
_TURN_S = 0.001
# How long those who have just connected have to say what they want, when the server stops.
_FIRST_WORD_S, _LOOK_S = 1.0, 0.02


def _expected(record: logging.LogRecord) -> bool:
    """While it ends, an answer that is cut so that its client waits on elsewhere is no fault of the application, nor is
    a request that is given up because its client has left."""
    given_up = record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not given_up and "without completing response" not in record.getMessage()


def _has_yet_to_ask(connection: object) -> bool:
    return getattr(connection, "cycle", ...) is None


# Longer than proxies and clients keep a connection on which nothing is asked (nginx: 60 seconds). If the server were
# the first to close it, the next request could meet a closed one, and a POST is not sent again by itself.
_KEPT_S = 75


class Server(uvicorn.Server):
    """Made for one `run`. `announce` gets the address once it answers, None without sockets; `abandon` is called when
    all must end now. A `child` ends with its parent. `probes_only`: nothing but health is answered.
    """

    def __init__(
        self,
        app: App,
        sockets: list[socket.socket],
        *,
        announce: Callable[[str | None], None],
        say: Callable[[str], None],
        abandon: Callable[[], None],
        child: Child | None = None,
        probes_only: bool = False,
    ) -> None:
        self._app = app
        self._sockets = sockets
        self._announce = announce
        self._say = say
        self._abandon = abandon
        self._child = child
        if child is not None:
            app.siblings = child.siblings
            app.metrics.add(child.siblings.left())
        self._vitals = Vitals(app)
        self._api = probes(app) if probes_only else create(app)
        self._grace_s = app.settings.worker.drain_grace_seconds
        super().__init__(
            uvicorn.Config(
                self._api,
                host=app.settings.gateway.host,
                loop="uvloop",
                http="httptools",
                ws="websockets-sansio",
                ws_max_size=app.settings.gateway.max_body_bytes,
                lifespan="off",  # `_run` opens and closes the application, so that its errors come out as they are
                log_config=None,
                access_log=app.settings.log.level == "debug",
                server_header=False,
                timeout_keep_alive=_KEPT_S,
                # Answers that wait for runs outlast the runs by a moment.
                timeout_graceful_shutdown=math.ceil(self._grace_s) + 1,
            )
        )

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop. Raises what keeps the application from opening."""
        with asyncio.Runner(loop_factory=self.config.get_loop_factory()) as runner:
            runner.run(self._run())

    async def _run(self) -> None:
        with self.capture_signals():
            if self._child is not None:
                self._child.watch(lambda: self.handle_exit(signal.SIGTERM, None))
            async with self._api.router.lifespan_context(self._api):
                # What start-up made lives as long as the process: a full collection that looked at it again would stop
                # both loops for 70 ms.
                gc.collect()
                gc.freeze()
                # A run makes and drops a few thousand objects. Python's own 700 has their cycles looked for several
                # times a run, a fifteenth of its CPU.
                gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
                # The gateway has a line to write now and then while nodes compute: it must not wait 5 ms for its turn.
                sys.setswitchinterval(_TURN_S)
                await self.serve(self._sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say where."""
        settings = self._app.settings.gateway
        try:
            if self._child is None:
                await super().startup(sockets)
            else:
                await super().startup([])
                self.servers = [self._door(each, self._child.tally) for each in sockets or ()]  # type: ignore[misc]
        except OSError as error:  # bound beside us, and quicker to listen
            raise listening.refused(settings.host, settings.port, error) from error
        self._announce(listening.address(settings.host, self._sockets[0]) if self._sockets else None)

    def _door(self, listener: socket.socket, tally: Tally) -> Door:
        config = self.config

        def made() -> asyncio.Protocol:
            state, app_state = self.server_state, self.lifespan.state
            return config.http_protocol_class(config=config, server_state=state, app_state=app_state)  # type: ignore[call-arg]

        count = self.server_state.connections.__len__
        return Door(listener, made, connections=count, tally=tally, backlog=config.backlog, ssl=config.ssl)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: those who have left are no longer counted; each second the metrics are told."""
        for door in self.servers:
            if isinstance(door, Door):
                door.tell()
        if self._child is not None and counter % 10 == 0:
            self._child.siblings.write(self._vitals.own())
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more, and let requests and runs end side by side: a request may be waiting for its run."""
        worker, delay_s = self._app.worker, self._app.settings.worker.drain_delay_seconds
        self._app.draining = True
        if not delay_s:
            await self._close_doors()
        if worker is not None and worker.running:
            self._say(f"Stopping: {worker.running} runs have {self._grace_s:g} s to end. Ctrl-C again stops at once.")
        drain = asyncio.create_task(asyncio.to_thread(worker.stop)) if worker is not None else None
        # Balancers see that this server is not ready, while it still answers those who have not seen it yet.
        await asyncio.sleep(delay_s)
        # Who reads a run that goes on elsewhere is sent there; for runs of this process there is the grace time.
        logging.getLogger("uvicorn.error").addFilter(_expected)
        self._app.runs.depart()
        forsaking = asyncio.create_task(self._forsake())
        ending = asyncio.create_task(self._end_streams(drain))
        await super().shutdown(sockets)
        forsaking.cancel()
        ending.cancel()
        if drain is not None:
            await drain
        if self._child is not None:
            self._child.siblings.write(self._vitals.own())
        self._say("Stopped.")

    async def _close_doors(self) -> None:
        """Nobody new; but a request on its way over a new connection is answered: who sent it could not know."""
        for server in self.servers:
            server.close()
            if isinstance(server, Door):
                await server.wait_closed()
        for listener in self._sockets:
            listener.close()
        connected = self.server_state.connections
        for each in [one for one in connected if not _has_yet_to_ask(one)]:
            each.shutdown()
        until = time.monotonic() + _FIRST_WORD_S
        while True:
            # Once in any case: what has just been read finds a worker that still takes it.
            await asyncio.sleep(_LOOK_S)
            if time.monotonic() >= until or not any(map(_has_yet_to_ask, connected)):
                return

    async def _end_streams(self, drain: asyncio.Task[None] | None) -> None:
        """Streams that never end by themselves end with the last run here."""
        if drain is not None:
            await asyncio.wait({drain})
        self._app.readers.end()

    async def _forsake(self) -> None:
        """Once every client has left, what still waits for a run has nobody to answer."""
        while self.server_state.connections:  # noqa: ASYNC110 - uvicorn tells nobody when one leaves
            await asyncio.sleep(0.1)
        for request in self.server_state.tasks:
            request.cancel()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Hear signals from before the application opens until it is closed; a clean end is no death by signal."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, previous in before.items():
                signal.signal(number, previous)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal asks, the second Ctrl-C insists."""
        if self.should_exit and sig == signal.SIGINT:
            self._end_at_once()
        self.should_exit = True

    def _end_at_once(self) -> NoReturn:
        os.write(2, b"Stopped at once; what was running goes on from its last checkpoint at the next start.\n")
        self._abandon()
        os._exit(130)
