"""One order at the exchange, from the intent to its end.

Beside the state a child carries `write` (nothing, an amend or a cancel: one in flight), `counted` (its fills, each
once by its trade) and `reported` (the highest filled count any answer or frame stated; only listings later than it by
the signature window and the read lag take it down: `corrected`).
The exchange's end is: status canceled or executed, the answer to an immediate-or-cancel order, a cancel's answer.
`unknown` is left by proof only: the order was found, a fill came, or a listing late enough does not have it.
"""

from states._table import Row, Table, checked, rows

WORKING = "intended unknown resting partial"
OPEN = f"{WORKING} cancelling settling"

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
            # No proof of its fate; also every place found in the outbox at a restart.
            Row("intended", "doubted", "unknown", odd=True),
            Row("intended", "refused", "rejected"),  # a listed refusal only, and never after `doubted`
            Row("intended", "withdrawn", "cancelled"),  # never handed to the socket
            Row("unknown", "accepted", "resting", odd=True),
            Row("unknown", "absent", "intended", guard="execution_goes_on", odd=True),  # sent again with the same id
            Row("unknown", "absent", "rejected", odd=True),
            # A fill can overtake the acknowledgement.
            *rows(WORKING, "fill_counted", "filled", guard="nothing_remains", odd="intended unknown"),
            *rows(WORKING, "fill_counted", "partial", odd="intended unknown"),
            *rows("resting partial", "cancel_sent", "cancelling"),
            # A cancel that was refused or lost: the order was found live.
            Row("cancelling", "still_live", "partial", guard="some_filled", odd=True),
            Row("cancelling", "still_live", "resting", odd=True),
            *rows(f"{WORKING} cancelling", "ended", "settling", guard="fills_missing", odd=OPEN),
            *rows(f"{WORKING} cancelling", "ended", "cancelled", guard="all_counted", odd="unknown"),
            *rows("cancelling settling", "fill_counted", "filled", guard="nothing_remains", odd=OPEN),
            Row("settling", "fill_counted", "cancelled", guard="all_counted", odd=True),
            *rows("cancelling settling", "fill_counted", "same", odd=OPEN),
            # Listings later than all that was said show other fills, or an order alive that was said to have ended.
            *rows(OPEN, "corrected", "filled", guard="nothing_remains", odd=OPEN),
            Row("settling", "corrected", "cancelled", guard="all_counted", odd=True),
            Row("resting", "corrected", "partial", odd=True),
            Row("partial", "corrected", "partial", guard="some_filled", odd=True),
            Row("partial", "corrected", "resting", odd=True),
            *rows("cancelling settling", "corrected", "same", odd=OPEN),
            Row("settling", "still_live", "partial", guard="some_filled", odd=True),
            Row("settling", "still_live", "resting", odd=True),
            # The listings contradict themselves for good, and the owner wants the end.
            *rows(OPEN, "given_up", "filled", guard="nothing_remains", odd=OPEN),
            *rows(OPEN, "given_up", "cancelled", odd=OPEN),
        ),
    )
)
