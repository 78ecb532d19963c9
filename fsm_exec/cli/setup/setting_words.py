"""What each setting of the configuration is, in a few words beside its name; the unit stands in the name.

Defaults do not stand here: `config_text` takes them from the settings themselves. A setting that has none has an
example instead.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Words(NamedTuple):
    """What a setting is; `example`: a value in TOML, for one that is off unless it is given."""

    text: str
    example: str | None = None


TABLES: Final = {
    "limits": "What one submission may ask for, and how many may be at work: a typing error becomes no order.",
    "execution": "How executions are worked.",
    "depth": "How the books of worked markets are stored.",
    "risk": "What the account may lose. What adds no risk is never refused.",
    "page": "The page in a browser.",
    "alerts": "Who hears of what. Without a channel alerts are stored and shown, and told nobody.",
    "telemetry": "Where a span of each execution is sent; without an endpoint, nowhere.",
    "tapes": "The frames of worked markets, kept to play them again.",
    "archive": "When what is over moves into archives.",
    "standby": "A second host that takes over. Both hosts have the same table.",
    "fleet": "Daemons that fsm-exec fleet shows beside those that run here.",
    "log": "How much is kept of the log beside the database.",
}

SETTINGS: Final = {
    "environment": Words('"paper", "demo" or "production"'),
    "api_key_id": Words("as the exchange shows it"),
    "private_key_path": Words("relative to this file; refused if others can read or replace it"),
    "allow_real_money": Words('goes with "production", and with nothing else'),
    "rest_url": Words('of the exchange on this machine: for "paper" only', '"http://127.0.0.1:8765/trade-api/v2"'),
    "ws_url": Words('of its stream: for "paper" only', '"ws://127.0.0.1:8767/trade-api/ws/v2"'),
    "subaccount": Words("that is worked, 0 for the primary; a key restricted to one needs its number"),
    "max_clock_skew_ms": Words("a clock that is further off fails in doctor"),
    "limits.max_unfinished_executions": Words("at any time"),
    "limits.max_quantity_contracts": Words("of one execution"),
    "limits.max_notional_dollars": Words("quantity times cap: the most one execution can cost"),
    "limits.max_horizon_s": Words("from a submission to its deadline"),
    "limits.contracts_in_15_s": Words("filled of all orders together; beyond it the exchange ends them all"),
    "execution.host_lease_s": Words(
        "so long after this host has died its orders end by themselves; 0: at the deadline"
    ),
    "depth.interval_s": Words("a book of each worked market so often"),
    "depth.retention_days": Words("then it is deleted"),
    "depth.warm_max_age_s": Words("older books do not warm signals up after a restart"),
    "risk.max_worst_case_market_dollars": Words("most that may be lost in one market"),
    "risk.max_worst_case_event_dollars": Words("... in all markets of an event"),
    "risk.max_worst_case_series_dollars": Words("... of a series"),
    "risk.max_worst_case_account_dollars": Words("... in all"),
    "risk.max_contracts_per_market": Words("held and wanted", "1000"),
    "risk.max_executions": Words("unfinished, at any time", "20"),
    "risk.max_submissions_per_minute": Words("more are refused"),
    "risk.max_writes_per_minute": Words("orders and amends; the first one too many is not sent and halts the engine"),
    "risk.no_new_within_s_of_close": Words("before a market closes or is determined", "60"),
    "risk.only_series": Words("nothing else is traded", '["KXBTCD"]'),
    "risk.never_series": Words("not traded"),
    "risk.exhaustive_series": Words("one market of each of their exclusive events always ends YES"),
    "risk.daily_loss_dollars": Words("brake: only what adds no risk is taken", "200"),
    "risk.daily_loss_halt_dollars": Words("brake: halts", "400"),
    "risk.drawdown_dollars": Words("brake, from the highest profit: only what adds no risk is taken", "500"),
    "risk.drawdown_halt_dollars": Words("brake, from the highest profit: halts", "1000"),
    "risk.return_below_percent": Words("of a brake's loss: below it a person may go on"),
    "risk.time_zone": Words("whose calendar days a daily loss is counted by"),
    "page.port": Words("0: a free one"),
    "alerts.quiet_hours": Words('as in "22:00-07:00": what is not urgent waits; "": none'),
    "alerts.time_zone": Words("of the quiet hours"),
    "alerts.unknown_order_s": Words("an order whose fate is unknown for longer is an alert"),
    "alerts.nothing_happened_h": Words("0: never"),
    "alerts.free_disk_mb": Words("less than that is an alert; 0: never"),
    "alerts.retention_days": Words("of those that wait for nobody"),
    "telemetry.endpoint": Words("a collector of OpenTelemetry", '"http://127.0.0.1:4318"'),
    "telemetry.headers_file": Words("with its secrets", '"otel-headers"'),
    "tapes.keep": Words("whether they are"),
    "tapes.max_mb": Words("of all together; the oldest go first"),
    "tapes.keep_days": Words("then they are deleted"),
    "archive.after_days": Words("after an execution's end", "90"),
    "standby.lease": Words(
        "who leads: what both hosts see, or s3://BUCKET/PREFIX; without it there is no other host",
        '"file:///mnt/pair"',
    ),
    "standby.lease_s": Words("without a sign of life for so long, the standby takes over"),
    "standby.replica": Words("what Litestream writes and the standby follows", '"file:///mnt/pair/replica"'),
    "log.max_mb": Words("a larger file is renamed and a new one begun"),
    "log.keep": Words("renamed ones; the oldest goes"),
}
"""By table and name. A test of the house holds it against `fsm_exec.cli.config`."""

NAMED_TABLES: Final = {
    "alerts.channels": """\
#[alerts.channels.phone]
#url_file = "telegram.url"            # a file with one address: json://, tgram://, discord://, slack://, mailto://
#max_messages_per_minute = 10
""",
    "fleet.daemons": """\
#[fleet.daemons.other-host]
#url = "http://127.0.0.1:9001"        # of this machine: another one is reached through a tunnel
#token_file = "other-host.token"      # this user's own unless given
""",
}
"""How the tables are written that have a name of their own each, so none of them has defaults."""
