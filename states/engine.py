"""The engine: one process that owns one database.

Starting is recovering: there is one way in, used at every start, so it cannot rot. `halted` refuses new work and ends
what runs; `draining` lets what runs come to rest and then stops.
"""

from states._table import Row, Table, checked, rows

ENGINE = checked(
    Table(
        name="engine",
        version=1,
        initial="starting",
        states=("starting", "recovering", "running", "halted", "draining", "stopped"),
        terminal=("stopped",),
        rows=(
            Row("starting", "locked", "recovering"),
            Row("recovering", "reconciled", "running"),
            *rows("recovering running", "halt", "halted"),
            Row("halted", "resume", "running"),
            *rows("recovering running halted", "drain", "draining"),
            Row("draining", "drained", "stopped"),
            *rows("starting recovering", "failed", "stopped"),
        ),
    )
)
