"""The account's brake: what may still be bought after a loss.

`reducing` lets nothing in that raises a worst case; `halted` lets nothing in and halts the engine. Only a person leads
back: by `returned` to everything, by `eased` from a halt to closing what is held. It has no end.
"""

from states._table import Row, Table, checked, rows

RISK = checked(
    Table(
        name="risk",
        version=1,
        initial="active",
        states=("active", "reducing", "halted"),
        terminal=(),
        rows=(
            Row("active", "loss_passed", "reducing"),
            *rows("active reducing", "second_passed", "halted"),
            *rows("reducing halted", "returned", "active"),
            Row("halted", "eased", "reducing"),
        ),
    )
)
