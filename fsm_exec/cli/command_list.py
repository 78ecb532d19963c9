"""The commands by what they are for: where each is defined, and the first sentence of its help.

The sentences stand here a second time because the list of commands is asked for far more often than all of them are
loaded, which takes a second. A test holds them against the commands' own.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Place(NamedTuple):
    """Where a command is defined: a module in `fsm_exec.cli`, and its name in it. `summary` is what the list says."""

    module: str
    name: str
    summary: str


GROUPS: Final = {
    "Trade": {
        "markets": Place(
            "daemon.market_commands",
            "markets",
            "Find markets to trade: by the beginning of a ticker, or by words of the title.",
        ),
        "book": Place(
            "daemon.market_commands",
            "book",
            "Show the book of a market, from the side of YES unless told otherwise.",
        ),
        "estimate": Place(
            "daemon.estimate",
            "estimate",
            "Say what buying QUANTITY contracts of OUTCOME on TICKER would cost.",
        ),
        "submit": Place(
            "daemon.submit",
            "submit",
            "Buy up to QUANTITY contracts of OUTCOME (yes or no) on TICKER, at no more than the limit.",
        ),
        "close": Place(
            "daemon.close",
            "close",
            "Close what is held of TICKER, or up to QUANTITY of it, by buying the other outcome.",
        ),
        "cancel": Place(
            "daemon.control_commands",
            "cancel",
            "End one execution: cancel what is live, keep what is filled.",
        ),
        "halt": Place(
            "daemon.control_commands",
            "halt",
            "End every execution and take no new ones until `fsm-exec resume`.",
        ),
        "resume": Place(
            "daemon.control_commands",
            "resume",
            "Take new work again after a halt; with EXECUTION_ID take up a quarantined execution again.",
        ),
        "serve": Place("daemon.serve", "serve", "Work orders for whoever holds the token, until a signal."),
        "standby": Place(
            "daemon.standby",
            "standby",
            "Follow the engine of another host, and take its work over when it is gone.",
        ),
    },
    "Look": {
        "top": Place(
            "daemon.top",
            "top",
            "Show how everything stands, live: engine, exchange, risk, what is at work, what ended last.",
        ),
        "open": Place("daemon.open", "open_page", "Open the daemon's page in a browser."),
        "list": Place("daemon.status_commands", "list_executions", "List executions, newest first."),
        "show": Place(
            "daemon.status_commands",
            "show",
            "Show one execution: its orders, fills, cost, and the last lines of its journal.",
        ),
        "watch": Place(
            "daemon.status_commands",
            "watch",
            "Print every step as it becomes durable: of one execution to its end, or of all until interrupted.",
        ),
        "metrics": Place(
            "daemon.metrics",
            "metrics",
            "Print what the daemon measures of itself, as Prometheus reads it from /metrics.",
        ),
        "status": Place(
            "daemon.status_commands",
            "status",
            "Show the state of the engine, and how soon a halt would leave nothing live.",
        ),
        "fleet": Place(
            "daemon.fleet",
            "fleet",
            "Show several daemons in one table: those that run here, those of [fleet], and the addresses given.",
        ),
        "positions": Place(
            "daemon.account_commands",
            "positions",
            "Show what is held, by hand too, and what closing it now would bring, fees taken off.",
        ),
        "pnl": Place(
            "daemon.account_commands",
            "pnl",
            "Show what was won and lost, in dollars: realised, fees, and what closing now would bring or cost.",
        ),
        "account": Place(
            "daemon.account_commands",
            "account",
            "Show balance, positions and profit, and where the exchange says something else than our books.",
        ),
        "risk": Place(
            "daemon.risk_commands",
            "risk",
            "Show what may be lost, what of each limit is used, and how the brake stands.",
        ),
        "alerts": Place(
            "daemon.alert_commands",
            "alerts",
            "List alerts, newest first, and how each fares with the channels of the configuration.",
        ),
        "logs": Place(
            "database.logs",
            "logs",
            "Tell what the log of a database says, a line a step in words; what was rotated is read too.",
        ),
        "replay": Place(
            "database.replay",
            "replay",
            "Tell an execution's history again from its journal, and check it against its snapshot and rows.",
        ),
        "report": Place(
            "lab.report",
            "report",
            "Draw SOURCE: the directory of a comparison, or a database, as one HTML file that needs no network.",
        ),
        "fork": Place(
            "lab.fork",
            "fork",
            "Work what was left of an execution again by other methods, on the tape kept of its market.",
        ),
        "review": Place(
            "database.review",
            "review",
            "Judge weeks of trading: do slippage, fill failures, thin markets call for a method that walks, and "
            "for which?",
        ),
        "forecasts": Place(
            "database.forecasts",
            "forecasts",
            "Judge every stored forecast by what came: the Brier score of chances, the pinball loss (dollars) of "
            "the others, beside the same of the last value.",
        ),
    },
    "Lab": {
        "demo": Place("demo.demo", "demo", "Work orders on a paper exchange and report what they cost."),
        "paper": Place("exchange.paper", "paper", "Serve a paper exchange until interrupted."),
        "methods": Place(
            "database.methods",
            "methods",
            "List, show and add methods: an algorithm with its configuration, by name and version.",
        ),
        "algorithms": Place("lab.algorithms", "algorithms", "List the algorithms there are, and check one."),
        "compare": Place("lab.compare", "compare", "Compare methods on recorded or generated tapes."),
        "tune": Place("lab.tune", "tune", "Search an algorithm's settings, leaving one tape out at a time."),
        "fit-estimate": Place(
            "lab.fit_estimate",
            "fit_estimate",
            "Fit what `fsm-exec estimate` says to the RESULTS of fsm-exec compare (its --out directories) and to "
            "databases.",
        ),
        "simulate": Place(
            "lab.simulate",
            "simulate_command",
            "Live through seeded histories of faults and crashes, and check every invariant.",
        ),
        "fidelity": Place("lab.fidelity", "fidelity", "Compare generated markets with recorded ones, gate by gate."),
        "record": Place("exchange.record", "record", "Record the books and trades of markets until interrupted."),
        "import": Place(
            "exchange.import_log",
            "import_log",
            "Make recordings of raw WebSocket logs, a frame a line: bare, or with times of receipt around it.",
        ),
        "tapes": Place(
            "lab.tapes",
            "tapes",
            "List the recordings in directories, or given ones: product, date, length, events, spread, gaps.",
        ),
    },
    "Care": {
        "init": Place(
            "setup.init",
            "init",
            "Set a daemon up: configuration, key and, where wanted, units; then look at it all.",
        ),
        "doctor": Place(
            "doctor.command", "doctor", "Look at the installation, the configuration, the key and the exchange."
        ),
        "db": Place("database.db", "db", "Check, back up, restore, migrate or archive a database."),
        "diagrams": Place("diagrams", "diagrams", "Draw the state machines into FOLDER/<table>.md."),
    },
}

COMMANDS: Final = {name: place for group in GROUPS.values() for name, place in group.items()}
