"""The REST half of the proxy within a process: an httpx transport around the exchange's."""

from __future__ import annotations

import httpx
import outcome
import trio

from tests.bending.bends import Bends, Cut, Forward, Reply, Request

SENT = "http11.send_request_body.complete"  # what a socket's transport says to whoever asked to be told


class BentTransport(httpx.AsyncBaseTransport):
    """Requests run in `nursery`, which is not the caller's: one who gives up waiting stops nothing that is under way,
    as over a network."""

    def __init__(self, nursery: trio.Nursery, bends: Bends, forward: Forward) -> None:
        self._nursery, self._bends, self._forward = nursery, bends, forward

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises httpx errors, as a socket's transport does."""
        asked = Request(
            request.method,
            request.url.raw_path.decode("ascii"),
            tuple((name.lower(), value) for name, value in request.headers.raw),
            await request.aread(),
        )
        result: list[outcome.Outcome[Reply]] = []
        ended = trio.Event()

        async def run() -> None:
            try:
                result.append(await outcome.acapture(self._ask, asked))
            finally:
                ended.set()

        self._nursery.start_soon(run)
        if (tell := request.extensions.get("trace")) is not None:
            await tell(SENT, {})
        read_s = request.extensions.get("timeout", {}).get("read")
        with trio.move_on_after(float("inf") if read_s is None else read_s) as waiting:
            await ended.wait()
        if waiting.cancelled_caught:
            raise httpx.ReadTimeout("no answer in time", request=request)
        if not result:
            raise httpx.ConnectError("the exchange has gone", request=request)
        try:
            reply = result[0].unwrap()
        except Cut as cut:
            raise httpx.RemoteProtocolError("the connection was cut", request=request) from cut
        return httpx.Response(reply.status, headers=list(reply.headers), content=reply.body, request=request)

    async def _ask(self, asked: Request) -> Reply:
        return await self._bends.pass_request(asked, self._forward)
