"""The execution: the parent order, from acceptance to its end.

`walking` means working with nothing filled yet: a child order has been live, or waits for its time. After every fact
the function `settle()` of `fsm_exec.core` fires whichever ending row holds, so an execution ends in the same step as
the fact that ended it. A fill in `pending` cannot be: nothing has been sent yet. `cancelled` keeps its fills; the
reason says why it ended.
"""

from states._table import Row, Table, checked, rows

REASONS = (
    "completed",
    "deadline",
    "user",
    "market_closed",
    "market_paused",
    "risk",
    "rejected",
    "cap",
    "no_liquidity",
    "no_book",
    "self_trade",
    "insufficient_balance",
    "external",
    "halt",
)

EXECUTION = checked(
    Table(
        name="execution",
        version=1,
        initial="pending",
        states=("pending", "split", "walking", "partial", "filled", "cancelled"),
        terminal=("filled", "cancelled"),
        rows=(
            Row("pending", "planned", "split"),
            Row("split", "working", "walking", guard="child_live_or_waiting"),
            *rows("split walking", "filled_some", "partial"),
            Row("partial", "filled_some", "partial"),
            *rows("walking partial", "walked", "same"),  # a new price, accepted by the exchange
            *rows("split walking partial", "filled_all", "filled", guard="settled_at_target"),
            *rows("pending split walking partial", "gave_up", "cancelled", guard="settled_below_target"),
        ),
    )
)
