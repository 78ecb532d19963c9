"""The feed of one market: whether its order book can be trusted now.

Only in `live` is the book what the exchange shows. `gapped`: a sequence number is missing, a snapshot was asked for.
`stale`: connected, but silent for longer than the heartbeat allows. There is no end: a feed lives as long as an
execution trades its market.
"""

from states._table import Row, Table, checked, rows

MARKET_FEED = checked(
    Table(
        name="market_feed",
        version=1,
        initial="disconnected",
        states=("disconnected", "subscribing", "live", "gapped", "stale"),
        terminal=(),
        rows=(
            Row("disconnected", "dial", "subscribing"),
            Row("subscribing", "snapshot", "live"),
            Row("live", "gap", "gapped"),
            Row("gapped", "snapshot", "live"),
            Row("live", "quiet", "stale"),
            Row("stale", "frame", "live"),
            *rows("subscribing live gapped stale", "lost", "disconnected"),
        ),
    )
)
