"""A database of a year: a hundred real executions, and as many copies of them as it takes.

    python -m tests.benchmarks.big_database PATH --executions 100000

The hundred are worked by the whole engine against the paper exchange, with orders, fills, books, markouts, forecasts
and costs. A copy has names, days, markets and a snapshot's checksum of its own, so it replays and passes `fsm-exec db
check` as they do. Every market is settled but those of the last day. A million journal rows take a minute or two, and
2.4 GB.
"""

from __future__ import annotations

import re
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
import trio

from fsm_exec.algorithms import method
from fsm_exec.core.journal.rows import SubmissionRow
from fsm_exec.core.journal.snapshot import decode_snapshot
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import CountE2, MoneyE6, Outcome, format_count, parse_count
from fsm_exec.paper.server.rate_limit import TIERS
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.venue.tape_player import TapePlayer
from fsm_exec.paper_session import PaperExchange, access_to
from fsm_exec.runtime.book_recorder import DepthSettings
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.runtime.engine import ExecutionRequest, MethodRef
from fsm_exec.runtime.logs import open_log
from fsm_exec.session import Session, open_session
from fsm_exec.store import open_virtual_store
from tests.benchmarks.many import Nowhere

BLOCK: Final = 100  # executions that are worked; all others are copies of them
MARKETS: Final = 20
FIRST_DAY: Final = date(2023, 1, 1)  # long past on every machine: nothing of it is due any more
START_US: Final = int(datetime(2023, 1, 1, 12, tzinfo=UTC).timestamp()) * 1_000_000
DAYS: Final = 365
DAY_S: Final = 86_400
ENVIRONMENT: Final = "paper"
INSTANCE: Final = "bigaaaaaaa"
SEED: Final = 11
HORIZON_S: Final = 45
WARM_UP_S: Final = 30
AFTER_S: Final = 330  # until the last markout
METHODS: Final = ("simple_limit", "deadline_walker", "dynamic_depth_walker", "adaptive_limit")
OUTCOMES: Final[tuple[Outcome, Outcome]] = ("yes", "no")
BY_TRIGGERS: Final = ("unscored_executions", "unsettled_markets")  # written for each row of other tables
SKIPPED: Final = ("meta", "meta_history", "epochs", "epoch_groups", "methods", "sqlite_sequence", *BY_TRIGGERS)
VALUES: Final = {"yes": "1.00000", "no": "0.00000"}  # every market ends YES

# What is another in each copy: the execution's number, the first part of an exchange's id, the day in the name of a
# market, the date of a time, and a time in seconds or microseconds.
_SLOTS: Final = re.compile(
    r"(?P<execution>\be\d{6}\b)|(?P<exchange>\b[0-9a-f]{8}(?=-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}))"
    r"|(?P<day>(?<=KXBIG-)23JAN01)|(?P<date>2023-01-01(?=T))|(?P<time>\b16725\d{5}(?:\d{6})?\b)"
)
_CHECKSUM: Final = re.compile(r'(.*?"checksum":")([0-9a-f]{8})(","execution":)(.*)(\})', re.DOTALL)

Make = Callable[["Copy"], Any]
"""A value of a row, for one copy."""


class Copy:
    """What is its own in copy `number` of the block, which is of day `day`."""

    def __init__(self, number: int, day: int) -> None:
        self.first = number * BLOCK
        self.exchange = f"{number:08x}"
        self.seconds = day * DAY_S
        shown = FIRST_DAY + timedelta(days=day)
        self.date = shown.isoformat()
        self.day = shown.strftime("%y%b%d").upper()

    def text_of(self, parts: tuple[tuple[str, str], ...]) -> str:
        return "".join([self._part(kind, text) if kind else text for kind, text in parts])

    def _part(self, kind: str, text: str) -> str:
        if kind == "execution":
            return f"e{int(text[1:]) + self.first:06d}"
        if kind == "time":
            return str(int(text) + self.seconds * (1_000_000 if len(text) > 10 else 1))
        return str(getattr(self, kind))


def make_big_database(path: Path, executions: int, say: Callable[[str], object] = lambda _: None) -> None:
    """Make the database at `path`, which must not be there, with so many executions, rounded up to whole blocks."""
    make_block(path)
    multiply_block(path, executions, say)


def make_block(path: Path) -> None:
    """Make a database of the hundred alone."""
    run_virtual(partial(_work, path), seed=SEED)


def multiply_block(path: Path, executions: int, say: Callable[[str], object] = lambda _: None) -> None:
    """Add copies of the hundred in the database at `path` until it has so many executions."""
    copies = -(-executions // BLOCK)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "foreign_keys = OFF", "cache_size = -200000"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        connection.execute("BEGIN")
        blocks = [_block_of(connection, table) for table in _tables(connection)]
        for number in range(1, copies):
            copy = Copy(number, number * DAYS // copies)
            for statement, rows in blocks:
                connection.executemany(statement, [tuple(make(copy) for make in row) for row in rows])
            if number % 100 == 0:
                say(f"{number * BLOCK:,} of {executions:,}")
        _settle(connection)
        connection.execute("COMMIT")
        _check_sample(connection, copies * BLOCK)
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
    path.with_name(f"{path.name}.acknowledged").unlink(missing_ok=True)  # of the hundred


def _tables(connection: sqlite3.Connection) -> list[str]:
    named = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid").fetchall()
    return [name for (name,) in named if name not in SKIPPED]


def _block_of(connection: sqlite3.Connection, table: str) -> tuple[str, list[list[Make]]]:
    """Return the statement that adds a copy's rows of a table, and each row's values as they are made. Numbers that
    SQLite gives are left to it."""
    about = connection.execute(f"PRAGMA table_info({table})").fetchall()
    counted = [name for _, name, kind, _, _, key in about if key and kind == "INTEGER"]
    keys = [name for _, name, _, _, _, key in about if key]
    names = [row[1] for row in about if not (row[1] in counted and keys == counted)]
    rows = connection.execute(f"SELECT {', '.join(names)} FROM {table} ORDER BY rowid").fetchall()
    marks = ", ".join("?" * len(names))
    statement = f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({marks})"  # a day's copies share markets
    return statement, [[_maker(name, value) for name, value in zip(names, row, strict=True)] for row in rows]


def _maker(column: str, value: object) -> Make:
    if not isinstance(value, str):
        return lambda _: value
    checked = _CHECKSUM.fullmatch(value) if column == "snapshot" else None
    if checked is not None:
        before, _, between, body, after = checked.groups()
        parts = tuple(_split(body))

        def snapshot(copy: Copy) -> str:
            own = copy.text_of(parts)
            return f"{before}{zlib.crc32(own.encode()):08x}{between}{own}{after}"

        return snapshot
    parts = tuple(_split(value))
    if not any(kind for kind, _ in parts):
        return lambda _: value
    return lambda copy: copy.text_of(parts)


def _split(text: str) -> Iterator[tuple[str, str]]:
    """Yield what stays as ("", text), and what is a copy's own with its kind."""
    at = 0
    for found in _SLOTS.finditer(text):
        yield "", text[at : found.start()]
        yield str(found.lastgroup), found[0]
        at = found.end()
    yield "", text[at:]


def _settle(connection: sqlite3.Connection) -> None:
    """Settle every market but those of the last day, all with YES."""
    (last,) = connection.execute("SELECT event FROM markets ORDER BY updated_at DESC LIMIT 1").fetchone()
    held: dict[tuple[str, str], dict[str, int]] = {}
    rows = connection.execute(
        "SELECT m.ticker, m.event, e.outcome, f.quantity FROM markets m JOIN execution_state e USING (ticker) "
        "JOIN fills f USING (execution_id) WHERE m.event != ?",
        (last,),
    )
    for ticker, event, outcome, quantity in rows:
        counts = held.setdefault((ticker, event), {"yes": 0, "no": 0})
        counts[outcome] += parse_count(quantity)
    connection.executemany(
        "INSERT INTO settlements (ticker, event, result, value, yes_count, no_count, yes_cost, no_cost, revenue, fee, "
        "settled_at) VALUES (?, ?, 'yes', '1.0000', ?, ?, '0.000000', '0.000000', '0.000000', '0.000000', ?)",
        [
            (ticker, event, *(format_count(CountE2(counts[side])) for side in OUTCOMES), to_iso(START_US))
            for (ticker, event), counts in held.items()
        ],
    )
    connection.execute(
        "INSERT INTO markouts (order_id, fill_id, horizon_s, mid, why, taken_at) "
        "SELECT f.order_id, f.fill_id, 0, CASE e.outcome WHEN 'yes' THEN ? ELSE ? END, NULL, f.traded_at "
        "FROM fills f JOIN execution_state e USING (execution_id) JOIN settlements s ON s.ticker = e.ticker",
        (VALUES["yes"], VALUES["no"]),
    )


def _check_sample(connection: sqlite3.Connection, count: int) -> None:
    """A copy that could not be loaded would make every figure worthless."""
    for number in (1, BLOCK, count // 2, count):
        name = f"e{number:06d}"
        (snapshot,) = connection.execute(
            "SELECT snapshot FROM execution_state WHERE execution_id = ?", (name,)
        ).fetchone()
        assert decode_snapshot(snapshot.encode()).execution_id == name


async def _work(path: Path) -> None:
    """Work the hundred to their ends, and on until the last markout."""
    wall = WallClock(START_US)
    log = open_log(Nowhere(), wall)
    paper = PaperExchange.starting_at(START_US, seed=SEED, tier=TIERS["prestige"])
    _, credentials = paper.gate.open_account(MoneyE6(10**15), "ed25519")
    tickers = [f"KXBIG-23JAN01-{n:02}" for n in range(MARKETS)]
    async with (
        open_virtual_store(path, draw_instance=lambda: INSTANCE, at_us=START_US) as store,
        paper.in_memory() as host,
    ):
        await store.bind(ENVIRONMENT)
        for number, ticker in enumerate(tickers):
            tape_s = WARM_UP_S + 2 * HORIZON_S + AFTER_S
            tape = generate(SEED + number, tape_s, ticker=ticker, start_us=START_US, profile="liquid")
            TapePlayer(paper.exchange, tape).start(START_US)
        async with open_session(
            access_to(host, credentials), store, wall, log, tickers=tickers, depth=DepthSettings(), seed=SEED
        ) as session:
            await trio.sleep(WARM_UP_S)
            for number in range(BLOCK):
                await _submit(session, number, tickers[number % MARKETS])
                await trio.sleep(HORIZON_S / BLOCK)
            await session.engine.wait_idle()
            await trio.sleep(AFTER_S)


async def _submit(session: Session, number: int, ticker: str) -> None:
    engine, outcome = session.engine, OUTCOMES[number // MARKETS % 2]
    view = engine.view(ticker, outcome)
    while view.trusted_mid_e5 is None:
        await trio.sleep(0.5)
        view = engine.view(ticker, outcome)
    target = view.grid.floor(view.trusted_mid_e5 // 10)
    assert target is not None
    chosen = method(METHODS[number % len(METHODS)])
    key = f"key-e{number + 1:06d}"
    await engine.submit(
        ExecutionRequest(
            ticker=ticker,
            outcome=outcome,
            target_e2=CountE2(600_00),
            method=MethodRef(chosen.full_name, chosen),
            limits=resolve_limits(target, view.grid, engine.feeds[ticker].terms.fees),
            horizon_us=HORIZON_S * 1_000_000,
            submission=SubmissionRow(key, f'{{"key":"{key}","ticker":"{ticker}","outcome":"{outcome}"}}'.encode()),
        )
    )


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--executions", type=click.IntRange(min=1), default=100_000, show_default=True)
def main(path: Path, executions: int) -> None:
    """Make a database of so many executions at PATH."""
    if path.exists():
        raise click.ClickException(f"{path} exists; give the path of a new file")
    make_big_database(path, executions, click.echo)
    with closing(sqlite3.connect(path)) as connection:
        for table in ("execution_state", "execution_events", "fills", "markouts", "order_book_snapshots"):
            (rows,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
            click.echo(f"{table}: {rows:,}")
    click.echo(f"{path.stat().st_size / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
