"""A sample of the outage matrix against real processes: killed with an order live, started again while reads are down,
and told to stop. The order's id is in the snapshot; nothing else is needed to cancel it."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import trio

from tests.bending import requests
from tests.bending.bends import Bends
from tests.bending.daemon import CONFIG, START_S, Daemons
from tests.bending.ledger import listed
from tests.bending.proxy import bending_proxy
from tests.chaos.zygote import Forked, Zygote

MARKET = "KXDOWN-26DEC31-A"
CANCEL = "/portfolio/events/orders/*"
AT_ONCE_S = 8  # on a busy machine


class Down(NamedTuple):
    """An engine that recovers while something is down, with one order live at the exchange."""

    bends: Bends
    http: httpx.AsyncClient
    process: Forked
    daemons: Daemons


@asynccontextmanager
async def recovering(directory: Path, path: str) -> AsyncIterator[Down]:
    environment = {**os.environ, "XDG_STATE_HOME": str(directory / "s"), "XDG_DATA_HOME": str(directory / "d")}
    with Zygote(environment) as zygote:
        daemons = Daemons(zygote, directory)
        await daemons.paper(MARKET, 5)
        async with bending_proxy(daemons.told.rest_url, daemons.told.ws_url) as proxy:
            proxy.config(daemons.told, directory / CONFIG)
            first = await daemons.serve()
            url = await daemons.ready(first, START_S)
            assert url is not None, first.err.read_text()
            async with daemons.control(url) as http:
                await http.post("/v1/executions", json=_wanted())
                await _until(lambda: _rests(daemons))
            await daemons.kill(first)
            proxy.bends.on_request(requests.error(503, "service_unavailable"), "GET", path)
            process = await daemons.serve("--port", url.rpartition(":")[2])
            async with daemons.control(url) as http:
                await _until(lambda: _answers(http))
                await trio.sleep(1)
                proxy.bends.asked.clear()
                yield Down(proxy.bends, http, process, daemons)


def _wanted() -> dict[str, object]:
    order = {"ticker": MARKET, "outcome": "yes", "quantity": "10", "method": "simple_limit", "target_price": "0.10"}
    return {"key": "k1", "worst_price": "0.10", "horizon_s": 600, **order}


async def _rests(daemons: Daemons) -> bool:
    return any(order.status == "resting" for order in (await listed(daemons.told)).orders)


async def _answers(http: httpx.AsyncClient) -> bool:
    with suppress(httpx.HTTPError):
        return (await http.get("/v1/status")).status_code == 200
    return False


async def _until(holds: Callable[[], Awaitable[bool]], within_s: float = 60) -> None:
    with trio.fail_after(within_s):
        while not await holds():  # noqa: ASYNC110 - other processes tell nobody
            await trio.sleep(0.05)


READS = ["/exchange/user_data_timestamp", "/portfolio/orders", "*"]


@pytest.mark.parametrize("path", READS)
async def test_a_halt_cancels_what_the_snapshots_know_whatever_cannot_be_read(path: str, tmp_path: Path) -> None:
    """At once, and `status` says that something is live until it is not."""
    async with recovering(tmp_path, path) as down:
        before = (await down.http.get("/v1/status")).json()
        assert before["live_orders"] + before["unknown_orders"] == 1
        assert (await down.http.post("/v1/halt")).status_code == 202
        await _until(lambda: _was_cancelled(down), AT_ONCE_S)
        assert not await _rests(down.daemons)


async def test_a_cancel_is_durable_while_nothing_can_be_read(tmp_path: Path) -> None:
    """The answer says so, and the order is gone."""
    async with recovering(tmp_path, "*") as down:
        answer = await down.http.post("/v1/executions/e000001/cancel")
        assert answer.status_code == 202, answer.text
        await _until(lambda: _was_cancelled(down), AT_ONCE_S)
        assert not await _rests(down.daemons)


async def test_sigterm_leaves_nothing_live_while_nothing_can_be_read(tmp_path: Path) -> None:
    """The process ends, and so have its orders."""
    async with recovering(tmp_path, "*") as down:
        down.process.signal(signal.SIGTERM)
        await _until(lambda: _was_cancelled(down), AT_ONCE_S)
        assert await down.daemons.ended(down.process, 90) == 0
        assert not await _rests(down.daemons)


async def _was_cancelled(down: Down) -> bool:
    return any(asked.reply is not None for asked in down.bends.requests_made("DELETE", CANCEL))
