"""The log of an engine whose exchange is down for half an hour: what is wrong, that it lasts, and that it is over."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import trio

from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.paper_session import access_to
from fsm_exec.runtime.fence import FenceSettings
from fsm_exec.runtime.logs import open_log
from fsm_exec.session import open_session
from fsm_exec.store import open_virtual_store
from tests.contract.test_fence import TICKER, Stage, play, submit

OUTAGE_S = 1_800
LINES_MAX = 60  # it was more than a thousand


class Network(httpx.AsyncBaseTransport):
    """Passes requests on, or lets them hang."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner, self.hangs = inner, False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as the exchange does, or never."""
        if self.hangs:
            await trio.sleep_forever()
        return await self._inner.handle_async_request(request)


@pytest.mark.parametrize("kind", ["down", "hanging"])
def test_half_an_hour_without_the_exchange_is_a_page_of_log(tmp_path: Path, kind: str) -> None:
    """Each trouble is told at once, ever more rarely while it lasts, and once when it is over."""

    async def acts(stage: Stage) -> None:
        access = access_to(stage.host, stage.credentials)  # type: ignore[arg-type]
        assert isinstance(access.transport, httpx.AsyncBaseTransport)
        network = Network(access.transport)

        def lines() -> list[dict[str, Any]]:
            return [msgspec.json.decode(line) for line in stage.log.getvalue().splitlines()]

        async with (
            open_virtual_store(
                tmp_path / "a.sqlite", draw_instance=lambda: "aaaaaaaaaa", at_us=stage.wall.now_us()
            ) as store,
            open_session(
                replace(access, transport=network),
                store,
                stage.wall,
                open_log(stage.log, stage.wall),
                tickers=[TICKER],
                seed=1,
                risk=RiskLimits(),
                fence=FenceSettings(),
            ) as session,
        ):
            await submit(session, horizon_s=3_600)
            await trio.sleep(60)
            before = len(lines())
            if kind == "down":
                stage.paper.exchange.begin_maintenance()
            network.hangs = kind == "hanging"
            await trio.sleep(OUTAGE_S)
            during = lines()[before:]
            stage.paper.exchange.end_maintenance()
            network.hangs = False
            await trio.sleep(180)
            over = lines()[before + len(during) :]
            told = Counter(str(line["event"]) for line in during)
            assert len(during) <= LINES_MAX, told
            assert told["degraded"], "what it means for trading is told at once"
            counts = {line["event"]: line["times"] for line in during if "times" in line}
            ended = {line["what"]: line["times"] for line in over if line["event"] == "trouble_over"}
            assert ended.keys() == counts.keys() >= {"reconciliation_failed", "account_not_read", "markets_unread"}
            assert all(counts[what] <= ended[what] < 2 * counts[what] for what in ended), (counts, ended)

    play(tmp_path, acts)
