"""What of the database moves with an execution, what is copied along, and what stays.

Every table of the schema is in exactly one of the three lists, which a test holds against the schema: of a new one
somebody must say what becomes of it.
"""

from __future__ import annotations

from typing import Final

import msgspec

OF_EXECUTION: Final = "execution_id = :execution_id"


class MovedTable(msgspec.Struct, frozen=True, kw_only=True):
    """A table whose rows of an execution move with it. `where` finds them; `{db}` in it is the schema they are in.
    `renumbered` is a column whose numbers nothing refers to: the archive gives its own. `keeps_rowid`: the row's number
    orders executions, and is the same in the archive."""

    name: str
    where: str = OF_EXECUTION
    renumbered: str | None = None
    keeps_rowid: bool = False


HEADS: Final = (  # the rows that make an execution one: gone with the move itself
    MovedTable(name="edges"),
    MovedTable(name="submissions"),
    MovedTable(name="execution_state", keeps_rowid=True),
)
TAILS: Final = (  # in the order of their deletion: a row goes before what it refers to
    MovedTable(
        name="markouts",
        where="(order_id, fill_id) IN (SELECT order_id, fill_id FROM {db}.fills WHERE execution_id = :execution_id)",
    ),
    MovedTable(name="child_metrics"),
    MovedTable(name="execution_metrics"),
    MovedTable(name="execution_rewards"),
    MovedTable(name="forecasts", renumbered="id"),
    MovedTable(name="order_book_snapshots", renumbered="id"),
    MovedTable(name="fills"),
    MovedTable(name="split_orders"),
    MovedTable(name="snapshot_parts"),
    MovedTable(name="execution_events"),
)
MOVED: Final = (*TAILS, *HEADS)

COPIED: Final[dict[str, str]] = {  # by table: the rows that an execution refers to, and that stay for others too
    "markets": "ticker = (SELECT ticker FROM {db}.execution_state WHERE execution_id = :execution_id)",
    "settlements": "ticker = (SELECT ticker FROM {db}.execution_state WHERE execution_id = :execution_id)",
    "methods": (
        "name || '@' || version = (SELECT method FROM {db}.execution_state WHERE execution_id = :execution_id)"
    ),
    "incentive_programs": (
        "program_id IN (SELECT program_id FROM {db}.execution_rewards WHERE execution_id = :execution_id)"
    ),
}

KEPT: Final[dict[str, str]] = {
    "meta": "is the database's own",
    "meta_history": "is the database's own",
    "epochs": "are of the database",
    "epoch_groups": "are of the exchange",
    "alerts": "are told and forgotten by days of their own",
    "alert_deliveries": "go with their alerts",
    "account_fills": "are of no execution, and part of the books",
    "account_openings": "are of no execution, and part of the books",
    "account_adjustments": "are of no execution, and part of the books",
    "account_differences": "are of the account",
    "account_look": "is of the account",
    "risk_state": "is the brake's",
    "risk_log": "is the brake's",
    "event_shapes": "are of events",
    "beats": "is the database's own",
    "lost_submissions": "are of no execution here",
    "unscored_executions": "has none of which the cost is reckoned",
    "unsettled_markets": "has no market that is settled",
    "archives": "says which archives there are",
    "archived_executions": "says what is in which archive",
    "archived_books": "says what the fills in the archives came to",
    "archived_settlements": "are of markets whose executions are in the archives",
}
