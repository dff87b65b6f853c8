"""One port, several processes: connections are taken evenly. `server` opens a child's doors, `processes` keeps count.

Left to themselves, whoever wakes first takes all that wait: of sixteen connections that come together and stay, one of
two processes may have twelve. So a process that has more than another leaves a newcomer to it for a moment; a newcomer
that is still there then is taken whatever the count. A process that hangs is soon left out of the count, since every
newcomer would wait for it in vain.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import mmap
import os
import select
import socket
import tempfile
import time
from array import array
from collections.abc import Callable
from ssl import SSLContext
from typing import IO

log = logging.getLogger(__name__)

# How long a newcomer is left to others, and how often.
_MOMENT_S, _MOMENTS = 0.001, 5
# How long to wait when none can be taken: for a descriptor when there is none left, above all.
_PAUSE_S = 0.5
# What `accept` says of one connection, not of all: it has gone, its network has, a firewall refuses it.
_GONE = frozenset({errno.EAGAIN, errno.EINTR, errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.ENETDOWN})
# Who has written nothing for so long hangs: `write` is called ten times a second.
_SILENT_NS = 500_000_000
_CLOSED = -1


class Tally:
    """How many connections each process has, in memory that all of them share; a process writes at its own place.

    A place has two numbers: the count, and when it was written, on the clock that all processes of a machine share.
    """

    def __init__(self, fd: int, place: int = 0) -> None:
        self._numbers = memoryview(mmap.mmap(fd, 0)).cast("q")
        self._place = place

    def write(self, count: int | None, place: int | None = None) -> None:
        """Connections at one's own place, or another; None: it takes none."""
        at = 2 * (self._place if place is None else place)
        self._numbers[at + 1] = time.monotonic_ns()
        self._numbers[at] = _CLOSED if count is None else count

    def rest(self) -> None:
        """Not to be waited for until the next `write`."""
        self._numbers[2 * self._place + 1] = 0

    def takes(self, place: int) -> bool:
        """Whether there is a process at that place that takes connections."""
        return self._numbers[2 * place] >= 0

    def more_than_another(self, count: int) -> bool:
        """Whether a process that takes connections, and does not hang, has fewer than `count`."""
        numbers = self._numbers
        for at in range(0, len(numbers), 2):
            if 0 <= numbers[at] < count and time.monotonic_ns() - numbers[at + 1] < _SILENT_NS:
                return True
        return False


def tally_file(places: int) -> IO[bytes]:
    """What so many processes map, all closed."""
    file = unnamed_file()
    file.write(array("q", [_CLOSED, 0] * places).tobytes())
    file.flush()
    return file


def unnamed_file() -> IO[bytes]:
    """For processes that inherit it: it has no name, and is gone with the last who has it open."""
    # In memory, where a system can: there may be no folder to write in, or no room in it.
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("langyard"), "w+b")
    return tempfile.TemporaryFile()


class Door:
    """Stands for the server that `loop.create_server` gives: opened where it is made, closed once."""

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        *,
        connections: Callable[[], int],
        tally: Tally,
        backlog: int,
        ssl: SSLContext | None,
    ) -> None:
        self._listener = listener
        self._protocol = protocol
        self._connections = connections
        self._tally = tally
        self._ssl = ssl
        self._loop = asyncio.get_running_loop()
        self._entering: set[asyncio.Task[None]] = set()
        self._left = 0
        self._later: asyncio.TimerHandle | None = None
        self._paused = self._closed = False
        self._waits = select.poll()
        self._waits.register(listener, select.POLLIN)
        listener.setblocking(False)
        listener.listen(backlog)
        self._open()

    def close(self) -> None:
        """Take no more; said twice, it is once."""
        if self._closed:
            return
        self._closed = True
        if self._later is not None:
            self._later.cancel()
        self._loop.remove_reader(self._listener)
        self._tally.write(None)

    async def wait_closed(self) -> None:
        """As of a server: those who were let in are let in."""
        await asyncio.gather(*self._entering, return_exceptions=True)

    def _open(self) -> None:
        self._later = None
        self._paused = False
        self.tell()
        if not self._waits.poll(0):
            self._left = 0  # another process has taken it
        self._loop.add_reader(self._listener, self._knock)

    def tell(self) -> int:
        """Write down how many connections there are, and return it."""
        count = self._connections() + len(self._entering)
        self._tally.write(count)
        if self._paused:
            self._tally.rest()
        return count

    def _knock(self) -> None:
        if self._left < _MOMENTS and self._tally.more_than_another(self.tell()):
            self._left += 1
            self._shut(_MOMENT_S)
            return
        self._left = 0
        try:
            connection, _ = self._listener.accept()
        except OSError as error:
            if error.errno in _GONE:
                return  # another process was quicker, or the client has left
            # Whatever it is, it may pass; asked again at once, it would be said thousands of times a second.
            log.error("no connection can be taken: %s", error.strerror)
            self._paused = True
            self.tell()
            self._shut(_PAUSE_S)
            return
        task = self._loop.create_task(self._enter(connection))
        self._entering.add(task)
        task.add_done_callback(self._entering.discard)
        self.tell()

    def _shut(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._later = self._loop.call_later(seconds, self._open)

    async def _enter(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection, ssl=self._ssl)
        except OSError as error:  # it has left, or does not speak TLS
            log.debug("a connection did not come about: %s", error)
            connection.close()
