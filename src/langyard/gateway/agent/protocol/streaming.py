"""The stream of a thread's envelopes as server-sent events: it stays open after each run (contract A.14)."""

from __future__ import annotations

from starlette.types import Send

from langyard import serde
from langyard.gateway.agent.admitting import Admitted
from langyard.gateway.agent.lasting import Lasting, chunk
from langyard.gateway.agent.protocol.envelopes import Wanted, chosen
from langyard.gateway.agent.protocol.feeds import Viewer
from langyard.gateway.sse import HEADERS, HEARTBEAT, frame


class EnvelopeStream(Lasting):
    """What `wanted` takes of a thread. It ends when the client leaves or the server stops."""

    media_type = "text/event-stream"

    def __init__(self, viewer: Viewer, wanted: Wanted, heartbeat_s: float, admitted: Admitted) -> None:
        super().__init__(HEADERS, heartbeat_s, None)
        self._admitted = admitted
        self._viewer = viewer
        self._wanted = wanted

    def close(self) -> None:
        """Stop viewing."""
        self._viewer.close()

    async def write(self, send: Send) -> None:
        """Envelopes, comments in silence, a word on what was lost."""
        viewer, wanted, shows = self._viewer, self._wanted, False
        if wanted.held_s:
            wanted = await viewer.decided(wanted)
        while True:
            if not await viewer.wait(self._heartbeat_s):
                await chunk(send, HEARTBEAT)
                continue
            lost, found = viewer.take()
            told = [envelope async for envelope in chosen(found, [wanted])]
            frames = [envelope.frame for envelope in told]
            if lost:
                frames.insert(0, frame("gap", serde.dumps(gap(lost))))
            if frames:
                if not (shows := shows or await self._admitted()):
                    return
                viewer.told(wanted, told)
                await chunk(send, b"".join(frames))
            if viewer.feed.ended and not found:
                return


def gap(lost: int) -> dict[str, object]:
    """What a viewer is told of events it will not get; clients that know no such method pass over it."""
    return {"type": "event", "method": "gap", "params": {"namespace": [], "data": {"lost": lost}}}
