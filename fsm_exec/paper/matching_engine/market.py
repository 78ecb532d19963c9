"""One market of the exchange: its terms, its book, and the running figures a market body shows."""

from __future__ import annotations

from fsm_exec.core.market.book import Book
from fsm_exec.core.market.fees import FeeTerms, fee_terms
from fsm_exec.core.values.units import Outcome, PriceE4, complement
from fsm_exec.paper.ids import named_id
from fsm_exec.paper.matching_engine.accounts import MarketResult
from fsm_exec.paper.matching_engine.candles import Candles
from fsm_exec.paper.matching_engine.fill_models import FillModel
from fsm_exec.paper.matching_engine.market_book import MarketBook
from fsm_exec.paper.matching_engine.price_level import QueueModel
from fsm_exec.paper.tapes.tape import TapeHeader

FAR_FUTURE_S = 7 * 24 * 3600  # close_time of a market whose tape has no known end yet


class PaperMarket:
    """`status` as the wire has it: active, inactive, closed, determined, finalized. Prices are YES prices; None =
    nothing traded yet. `unseen` is the tape's book while nothing may trade here. `clock` counts what changed the
    book, one a step however many levels it moved; `updated_us` knows changes of the terms alone. `exchange_index` is
    the shard it is on."""

    def __init__(
        self,
        header: TapeHeader,
        opened_us: int,
        queue_model: QueueModel = "conservative",
        fill_model: FillModel = "recorded",
        exchange_index: int = 0,
    ) -> None:
        self.header = header
        self.exchange_index = exchange_index
        self.market_id = named_id(header.ticker)
        self.book = MarketBook(queue_model, fill_model, header.ticker)
        self.fees: FeeTerms = fee_terms(header.fee_type, header.fee_multiplier)
        self.fees_waived_until_us: int | None = None
        self.status = "active"
        self.opened_us = opened_us
        self.updated_us = opened_us
        self.close_us = opened_us + FAR_FUTURE_S * 1_000_000
        self.last_price_e4: PriceE4 | None = None
        self.previous_price_e4: PriceE4 | None = None
        self.volume_e2 = 0
        self.earlier_volume_e2 = 0  # traded in the 24 hours before the tape began, as far as that is stated
        self.last_size_e2 = 0
        self.clock = 0
        self.candles = Candles()
        self._best: dict[Outcome, PriceE4] = {"yes": PriceE4(0), "no": PriceE4(0)}
        self.paused_book: Book | None = None
        self.result: MarketResult | None = None
        self.value_e4 = PriceE4(0)  # of one YES contract, once there is a result
        self.settled_us: int | None = None

    @property
    def ticker(self) -> str:
        return self.header.ticker

    def record_trade(self, yes_price: PriceE4, count: int, at_us: int) -> None:
        self.previous_price_e4, self.last_price_e4 = self.last_price_e4, yes_price
        self.volume_e2 += count
        self.last_size_e2 = count
        self.candles.record_trade(yes_price, count, at_us)

    def may_move_best(self, outcome: Outcome, price: PriceE4) -> bool:
        """Whether a change of a level may change the best price of its ladder."""
        return price >= self._best[outcome]

    def record_quotes(self, at_us: int) -> None:
        """A best price may have changed. A side without quotes is a bid of 0."""
        for outcome in self._best:
            level = self.book.best(outcome)
            self._best[outcome] = PriceE4(0) if level is None else level[0]
        self.candles.record_quotes(self._best["yes"], complement(self._best["no"]), at_us)
