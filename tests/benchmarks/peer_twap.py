"""The TWAP of another engine (nautilus_trader, the one of its examples) on a thin book that is filled up each second.

A process of its own, for that engine configures its whole process. Arguments: levels, contracts a level, seconds, "ioc"
or "gtc" (that engine's default). Prints one JSON document: what was bought, in how many orders, and how these ended.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from decimal import Decimal

from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, StrategyConfig
from nautilus_trader.examples.algorithms.twap import TWAPExecAlgorithm
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import BookOrder, OrderBookDelta, OrderBookDeltas
from nautilus_trader.model.enums import (
    AccountType,
    AssetClass,
    BookAction,
    BookType,
    OmsType,
    OrderSide,
    TimeInForce,
    order_status_to_str,
)
from nautilus_trader.model.identifiers import ExecAlgorithmId, InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import BinaryOption
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

CONTRACTS, SLICES = 100, 10
SECOND_NS = 1_000_000_000
T0_NS = 1_681_149_600 * SECOND_NS
VENUE = Venue("THIN")


def instrument() -> BinaryOption:
    return BinaryOption(
        instrument_id=InstrumentId(Symbol("KXTEST-1"), VENUE),
        raw_symbol=Symbol("KXTEST-1"),
        outcome="Yes",
        description="a thin book",
        asset_class=AssetClass.ALTERNATIVE,
        currency=USD,
        price_precision=2,
        price_increment=Price.from_str("0.01"),
        size_precision=0,
        size_increment=Quantity.from_int(1),
        activation_ns=0,
        expiration_ns=T0_NS + 10**6 * SECOND_NS,
        max_quantity=None,
        min_quantity=Quantity.from_int(1),
        maker_fee=Decimal(0),
        taker_fee=Decimal(0),
        ts_event=0,
        ts_init=0,
    )


def books(option: BinaryOption, levels: int, contracts: int, seconds: int) -> list[OrderBookDeltas]:
    """A whole book a second: so many offers from 0.50 up, and bids nobody needs."""
    tape = []
    for second in range(seconds + 30):
        at_ns = T0_NS + second * SECOND_NS
        deltas = [OrderBookDelta.clear(option.id, 0, at_ns, at_ns)]
        sides = [(OrderSide.BUY, "0.49", 100)]
        sides += [(OrderSide.SELL, f"0.{50 + level}", contracts) for level in range(levels)]
        for n, (side, price, count) in enumerate(sides):
            order = BookOrder(side, Price.from_str(price), Quantity.from_int(count), n + 1)
            deltas.append(OrderBookDelta(option.id, BookAction.ADD, order, 0, 0, at_ns, at_ns))
        tape.append(OrderBookDeltas(option.id, deltas))
    return tape


class Buyer(Strategy):  # type: ignore[misc]  # that engine need not be installed
    """Gives the one order on the first book."""

    def __init__(self, option: BinaryOption, seconds: int, time_in_force: TimeInForce) -> None:
        super().__init__(StrategyConfig(strategy_id="BUYER-1"))
        self._option, self._seconds, self._time_in_force = option, seconds, time_in_force
        self._given = False

    def on_start(self) -> None:
        self.subscribe_order_book_deltas(self._option.id, BookType.L2_MBP)

    def on_order_book_deltas(self, deltas: OrderBookDeltas) -> None:
        if self._given:
            return
        self._given = True
        order = self.order_factory.market(
            instrument_id=self._option.id,
            order_side=OrderSide.BUY,
            quantity=self._option.make_qty(CONTRACTS),
            time_in_force=self._time_in_force,
            exec_algorithm_id=ExecAlgorithmId("TWAP"),
            exec_algorithm_params={"horizon_secs": self._seconds, "interval_secs": self._seconds / SLICES},
        )
        self.submit_order(order)


def main(levels: int, contracts: int, seconds: int, time_in_force: str) -> None:
    option = instrument()
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(
        venue=VENUE,
        oms_type=OmsType.NETTING,
        account_type=AccountType.CASH,
        starting_balances=[Money(1_000_000, USD)],
        base_currency=USD,
        book_type=BookType.L2_MBP,
    )
    engine.add_instrument(option)
    engine.add_data(books(option, levels, contracts, seconds))
    engine.add_exec_algorithm(TWAPExecAlgorithm())
    engine.add_strategy(Buyer(option, seconds, TimeInForce.IOC if time_in_force == "ioc" else TimeInForce.GTC))
    engine.run()
    orders = engine.cache.orders()
    ends = Counter(order_status_to_str(order.status) for order in orders)
    bought = sum(int(order.filled_qty) for order in orders)
    print(json.dumps({"bought": bought, "orders": len(orders), "ends": dict(ends)}))  # noqa: T201 - its answer
    engine.dispose()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
