"""What an experiment has measured so far: one SQLite file, a row for each episode and for each method in it.

Everything is an exact integer in the unit of its suffix (_e4 dollars of a price, _e2 contracts, _e5 mids, _e7 totals
in dollars for the whole quantity, _us microseconds). Rows depend on nothing but what they are keyed by, so their order,
and how many processes made them, leave no trace; an episode and its runs are written in one transaction, so a killed
experiment leaves whole episodes. The first table says what the experiment is, and a later run with other conditions is
refused: their numbers would not compare.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.core.values.units import CountE2, Outcome
from fsm_exec.lab.experiment.episode_runner import EpisodeRun, LabError
from fsm_exec.lab.experiment.episodes import Order
from fsm_exec.lab.experiment.fill_causes import FillsByCause

FILE_NAME = "compare.sqlite"
VERSION = 2
BUSY_TIMEOUT_MS = 5_000
UNSTATED = str(None)

SCHEMA = """
CREATE TABLE experiment (
    -- one row a condition: what all episodes have in common
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE tapes (
    tape TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    series TEXT NOT NULL,            -- of its market: the product
    trades INTEGER NOT NULL          -- so many it holds
) STRICT, WITHOUT ROWID;
CREATE TABLE episodes (
    tape TEXT NOT NULL REFERENCES tapes,
    at_us INTEGER NOT NULL,          -- the start, in the tape's own time
    outcome TEXT NOT NULL CHECK (outcome IN ('yes', 'no')),
    quantity_e2 INTEGER NOT NULL,
    horizon_us INTEGER NOT NULL,
    mid_e5 INTEGER NOT NULL,         -- at arrival, in the own outcome, as the two that follow
    spread_e4 INTEGER NOT NULL,
    touch_e2 INTEGER NOT NULL,       -- what is offered at the best ask
    bound_e7 INTEGER NOT NULL,       -- the least possible shortfall
    static_e7 INTEGER NOT NULL,      -- that of the best single limit price, known afterwards
    PRIMARY KEY (tape, at_us, outcome, quantity_e2, horizon_us),
    CHECK (static_e7 >= bound_e7)
) STRICT, WITHOUT ROWID;
CREATE TABLE runs (
    tape TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    quantity_e2 INTEGER NOT NULL,
    horizon_us INTEGER NOT NULL,
    method TEXT NOT NULL,            -- NAME@VERSION
    shortfall_e7 INTEGER NOT NULL,
    fees_e7 INTEGER NOT NULL,
    filled_e2 INTEGER NOT NULL,
    trade_e2 INTEGER NOT NULL,       -- filled by what
    queue_e2 INTEGER NOT NULL,
    crossing_e2 INTEGER NOT NULL,
    through_e2 INTEGER NOT NULL,
    taken_e2 INTEGER NOT NULL,
    before_close_e2 INTEGER NOT NULL, -- without the order of the closing leg
    writes INTEGER NOT NULL,
    walks INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    flags TEXT NOT NULL,
    PRIMARY KEY (tape, at_us, outcome, quantity_e2, horizon_us, method),
    FOREIGN KEY (tape, at_us, outcome, quantity_e2, horizon_us) REFERENCES episodes
) STRICT, WITHOUT ROWID;
"""

REWARDS = """
CREATE TABLE IF NOT EXISTS rewards (
    -- what programmes are estimated to pay, as a cost; a run without a row: nothing
    tape TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    quantity_e2 INTEGER NOT NULL,
    horizon_us INTEGER NOT NULL,
    method TEXT NOT NULL,
    liquidity_e7 INTEGER NOT NULL CHECK (liquidity_e7 <= 0),
    volume_e7 INTEGER NOT NULL CHECK (volume_e7 <= 0),
    PRIMARY KEY (tape, at_us, outcome, quantity_e2, horizon_us, method),
    FOREIGN KEY (tape, at_us, outcome, quantity_e2, horizon_us, method) REFERENCES runs
) STRICT, WITHOUT ROWID;
"""


class KnownTape(NamedTuple):
    """What is known of a tape beside its name."""

    fingerprint: str
    series: str
    trades: int


class EpisodeKey(msgspec.Struct, frozen=True, order=True):
    """One order at one start of one tape."""

    tape: str
    at_us: int
    outcome: Outcome
    quantity_e2: CountE2
    horizon_us: int

    @property
    def order(self) -> Order:
        return Order(outcome=self.outcome, quantity_e2=self.quantity_e2, horizon_us=self.horizon_us)


class EpisodeResult(msgspec.Struct, frozen=True, kw_only=True):
    """An episode with the runs made of it, by the methods' full names."""

    key: EpisodeKey
    mid_e5: int
    spread_e4: int
    touch_e2: int
    bound_e7: int
    static_e7: int
    runs: dict[str, EpisodeRun]


class Results:
    """Made by `open_results`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path

    def agree(self, conditions: Mapping[str, str], tapes: Mapping[str, KnownTape]) -> None:
        """Store what the experiment is, or compare with what is stored. Raises UserError where they differ."""
        with self._transaction():
            stored = dict(self._connection.execute("SELECT name, value FROM experiment").fetchall())
            for name, value in conditions.items():
                before = stored.get(name, UNSTATED if stored else value)  # a condition that came later
                if before != value:
                    raise UserError(
                        f"{self.path} was measured with {name} {before}, not {value}; "
                        "give the same conditions to resume it, or another --out"
                    )
            self._connection.executemany("INSERT OR REPLACE INTO experiment VALUES (?, ?)", conditions.items())
            known = dict(self._connection.execute("SELECT tape, fingerprint FROM tapes").fetchall())
            for tape, stated in tapes.items():
                if known.get(tape, stated.fingerprint) != stated.fingerprint:
                    raise UserError(f"tape {tape} is not what it was when {self.path} was begun; give another --out")
            self._connection.executemany(
                "INSERT OR REPLACE INTO tapes VALUES (?, ?, ?, ?)", ((tape, *stated) for tape, stated in tapes.items())
            )

    def stated(self) -> dict[str, str]:
        """The conditions all episodes have in common."""
        return dict(self._connection.execute("SELECT name, value FROM experiment ORDER BY 1").fetchall())

    def fingerprints(self) -> dict[str, str]:
        """Those of the tapes, by the names they were given by."""
        return dict(self._connection.execute("SELECT tape, fingerprint FROM tapes ORDER BY 1").fetchall())

    def products(self) -> dict[str, str]:
        """The series of each tape."""
        return dict(self._connection.execute("SELECT tape, series FROM tapes ORDER BY 1").fetchall())

    def without_trades(self) -> list[str]:
        """The names of the tapes that hold no trades."""
        return [name for (name,) in self._connection.execute("SELECT tape FROM tapes WHERE trades = 0 ORDER BY 1")]

    def methods(self) -> list[str]:
        """The full names of those that have worked anything."""
        return [name for (name,) in self._connection.execute("SELECT DISTINCT method FROM runs ORDER BY 1")]

    def done(self) -> set[tuple[EpisodeKey, str]]:
        """Which episodes were worked by which methods."""
        rows = self._connection.execute("SELECT tape, at_us, outcome, quantity_e2, horizon_us, method FROM runs")
        return {(EpisodeKey(*row[:5]), row[5]) for row in rows}

    def add(self, result: EpisodeResult) -> None:
        """Keep an episode and its runs; both or neither. Raises UserError if the episode is there already and was not
        the same then: another version of this program measured it."""
        key = msgspec.structs.astuple(result.key)
        episode = (*key, result.mid_e5, result.spread_e4, result.touch_e2)
        runs = [
            (
                *key,
                method,
                run.shortfall_e7,
                run.fees_e7,
                run.filled_e2,
                *msgspec.structs.astuple(run.fills),
                run.before_close_e2,
                run.writes,
                run.walks,
                run.state,
                run.reason,
                run.flags,
            )
            for method, run in result.runs.items()
        ]
        with self._transaction():
            stated = (*episode, result.bound_e7, result.static_e7)
            known = self._connection.execute(
                "SELECT * FROM episodes WHERE (tape, at_us, outcome, quantity_e2, horizon_us) = (?, ?, ?, ?, ?)", key
            ).fetchone()
            if known is None:
                self._connection.execute(f"INSERT INTO episodes VALUES ({_places(10)})", stated)
            elif known != stated:
                raise UserError(
                    f"{self.path} has another book or bound for {result.key}: another version of fsm-exec measured it; "
                    "give another --out"
                )
            self._connection.executemany(f"INSERT OR REPLACE INTO runs VALUES ({_places(20)})", runs)
            self._connection.executemany(
                f"INSERT OR REPLACE INTO rewards VALUES ({_places(8)})",
                [
                    (*key, method, run.liquidity_reward_e7, run.volume_reward_e7)
                    for method, run in result.runs.items()
                    if run.liquidity_reward_e7 or run.volume_reward_e7
                ],
            )

    def read(self, methods: Iterable[str], *, with_rewards: bool = True) -> Iterator[EpisodeResult]:
        """All episodes in order, each with those of its runs that are by these methods; `with_rewards`: with what
        programmes are estimated to have paid them."""
        wanted = list(methods)
        rewards = self._rewards() if with_rewards else {}
        runs: dict[EpisodeKey, dict[str, EpisodeRun]] = {}
        for row in self._connection.execute(
            f"SELECT tape, at_us, outcome, quantity_e2, horizon_us, method, "
            f"{', '.join((*_RUN_COLUMNS, *_FILL_COLUMNS))} "
            f"FROM runs JOIN episodes USING (tape, at_us, outcome, quantity_e2, horizon_us) "
            f"WHERE method IN ({_places(len(wanted))})",
            wanted,
        ):
            key, method, fields = EpisodeKey(*row[:5]), row[5], row[6:]
            fills = FillsByCause(**dict(zip(_FILL_COLUMNS, fields[len(_RUN_COLUMNS) :], strict=True)))
            liquidity, volume = rewards.get((key, method), (0, 0))
            run = EpisodeRun(
                **dict(zip(_RUN_COLUMNS, fields, strict=False)),
                fills=fills,
                liquidity_reward_e7=liquidity,
                volume_reward_e7=volume,
            )
            runs.setdefault(key, {})[method] = run
        for row in self._connection.execute("SELECT * FROM episodes ORDER BY 1, 2, 3, 4, 5"):
            key = EpisodeKey(*row[:5])
            mid_e5, spread_e4, touch_e2, bound_e7, static_e7 = row[5:]
            yield EpisodeResult(
                key=key,
                mid_e5=mid_e5,
                spread_e4=spread_e4,
                touch_e2=touch_e2,
                bound_e7=bound_e7,
                static_e7=static_e7,
                runs=runs.get(key, {}),
            )

    def _rewards(self) -> dict[tuple[EpisodeKey, str], tuple[int, int]]:
        if not self._connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'rewards'").fetchone():
            return {}  # read only, and of before there were any
        rows = self._connection.execute("SELECT * FROM rewards")
        return {(EpisodeKey(*row[:5]), row[5]): (row[6], row[7]) for row in rows}

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:  # a full disk may have ended it
                self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")


_RUN_COLUMNS = (
    *("mid_e5", "spread_e4", "touch_e2", "shortfall_e7", "fees_e7", "filled_e2"),
    *("before_close_e2", "writes", "walks", "state", "reason", "flags"),
)
_FILL_COLUMNS = FillsByCause.__struct_fields__


@contextmanager
def open_results(directory: Path, *, resume: bool) -> Iterator[Results]:
    """The results in `directory`, created if need be. Raises UserError for what is there already unless it is to be
    resumed, for a file of something else, and for a place that cannot be written; LabError where that happens only
    later, on a disk that is full by then."""
    path = directory / FILE_NAME
    with closing(_opened(path, resume=resume)) as connection:
        try:
            yield Results(connection, path)
        except sqlite3.Error as error:
            raise LabError(f"cannot use {path}: {error}; what is done is kept: make room, then add --resume") from error


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise UserError(f"{path} holds results already; add --resume to go on with them, or give another --out")


def _opened(path: Path, *, resume: bool) -> sqlite3.Connection:
    connection = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not resume:
            _refuse_existing(path)
        connection = sqlite3.connect(path, isolation_level=None)
        _prepare(connection, path)
        return connection
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, OSError | sqlite3.Error):
            why = error.strerror if isinstance(error, OSError) else error
            raise UserError(f"cannot use {path}: {why}; give another --out, or make room") from error
        raise


@contextmanager
def results_at(path: Path) -> Iterator[Results]:
    """Those of an experiment that exists, to read. Raises UserError for a file of something else, or of none."""
    if not path.is_file():
        raise UserError(f"cannot read {path}: there is no such file; give the --out of a comparison")
    try:
        with closing(sqlite3.connect(path.absolute().as_uri() + "?mode=ro", uri=True, isolation_level=None)) as found:
            found.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            if not is_results(found):
                raise UserError(f"{path} is no result of fsm-exec compare of this version; compare again")
            yield Results(found, path)
    except sqlite3.Error as error:
        raise UserError(f"cannot read {path}: {error}; give the --out of another comparison") from error


def is_results(connection: sqlite3.Connection) -> bool:
    """Whether this is a database of results, as this version writes them."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    return version == VERSION and {"experiment", "tapes", "episodes", "runs"} <= tables


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")  # a power loss may cost the last episodes: they are made again
    connection.execute("PRAGMA foreign_keys = ON")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if version == 0 and tables == 0:
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        except sqlite3.OperationalError:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if not is_results(connection):  # not even another process's, begun at the same moment
                raise
    elif not is_results(connection):
        raise UserError(f"{path} is of another program, or of another version of fsm-exec; give another --out")
    connection.execute(REWARDS)


def _places(count: int) -> str:
    return ", ".join("?" * count)
