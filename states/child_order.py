"""One order at the exchange, from the intent to its end.

Beside the state a child carries `write` (nothing, an amend or a cancel: one in flight), `counted` (its fills, each
once by its trade) and `reported` (the highest filled count any answer or frame stated; only listings later than it by
the signature window and the read lag take it down: `corrected`).
The exchange's end is: status canceled or executed, the answer to an immediate-or-cancel order, a cancel's answer.
`unknown` is left by proof only: the order was found, a fill came, or a listing late enough does not have it.
"""

from states._table import Row, Table, checked, rows

OPEN = "intended unknown resting partial cancelling settling"

CHILD_ORDER = checked(
    Table(
        name="child_order",
        version=2,
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
            # Listings later than all that was said show other fills, or an order alive that was said to have ended.
            *rows(OPEN, "corrected", "filled", guard="nothing_remains"),
            Row("settling", "corrected", "cancelled", guard="all_counted"),
            Row("resting", "corrected", "partial"),
            Row("partial", "corrected", "partial", guard="some_filled"),
            Row("partial", "corrected", "resting"),
            *rows("cancelling settling", "corrected", "same"),
            Row("settling", "still_live", "partial", guard="some_filled"),
            Row("settling", "still_live", "resting"),
            # The listings contradict themselves for good, and the owner wants the end.
            *rows(OPEN, "given_up", "filled", guard="nothing_remains"),
            *rows(OPEN, "given_up", "cancelled"),
        ),
    )
)
