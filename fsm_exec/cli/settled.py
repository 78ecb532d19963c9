"""How markets ended, as the exchange says: for the markouts at settlement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fsm_exec.core.units import Outcome
from fsm_exec.kalshi.client import KalshiClient
from fsm_exec.runtime.markouts import Results

RESULTS: Mapping[str, Outcome] = {"yes": "yes", "no": "no"}


def results_of(client: KalshiClient) -> Results:
    """Only plain results count: a market that is void, or pays a scalar, has none here."""

    async def results(tickers: Sequence[str]) -> Mapping[str, Outcome]:
        rows = await client.public.fetch_markets(tickers=tickers)
        return {row.ticker: RESULTS[row.result] for row in rows if row.result is not None and row.result in RESULTS}

    return results
