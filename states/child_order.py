"""One order at the exchange, from the intent to its end.

Beside the state a child carries `write` (nothing, an amend or a cancel: one in flight), `counted` (its fills, each
once by order id and fill id) and `reported` (the highest filled count any answer stated; it never falls).
The exchange's end is: status canceled or executed, the answer to an immediate-or-cancel order, a cancel's answer.
`unknown` is left by proof only: the order was found, a fill came, or a listing late enough does not have it.
"""

from states._table import Row, Table, checked, rows

CHILD_ORDER = checked(
    Table(
        name="child_order",
        version=1,
        initial="intended",
        states=(
            "intended",
            "unknown",
            "resting",
            "partial",
            "cancelling",
            "settling",
            "filled",
            "cancelled",
            "rejected",
        ),
        terminal=("filled", "cancelled", "rejected"),
        rows=(
            Row("intended", "accepted", "resting"),
            Row("intended", "doubted", "unknown"),  # no proof; also every place found in the outbox at a restart
            Row("intended", "refused", "rejected"),  # a listed refusal only, and never after `doubted`
            Row("intended", "withdrawn", "cancelled"),  # never handed to the socket
            Row("unknown", "accepted", "resting"),
            Row("unknown", "absent", "intended", guard="execution_goes_on"),  # sent again with the same id
            Row("unknown", "absent", "rejected"),
            # A fill can overtake the acknowledgement.
            *rows("intended unknown resting partial", "fill_counted", "filled", guard="nothing_remains"),
            *rows("intended unknown resting partial", "fill_counted", "partial"),
            *rows("resting partial", "cancel_sent", "cancelling"),
            Row("cancelling", "still_live", "partial", guard="some_filled"),  # refused or lost, and found live
            Row("cancelling", "still_live", "resting"),
            *rows("intended unknown resting partial cancelling", "ended", "settling", guard="fills_missing"),
            *rows("intended unknown resting partial cancelling", "ended", "cancelled", guard="all_counted"),
            *rows("cancelling settling", "fill_counted", "filled", guard="nothing_remains"),
            Row("settling", "fill_counted", "cancelled", guard="all_counted"),
            *rows("cancelling settling", "fill_counted", "same"),
        ),
    )
)
