"""A daemon on a paper exchange in virtual time, for tests of strategies and of algorithms: an hour takes a moment.

    async def trial(desk: PaperDesk) -> None:
        desk.open_market("KXTEST-A", yes=[("0.44", "10")], no=[("0.50", "10")])
        accepted = await desk.daemon.submit(Submission(ticker="KXTEST-A", method="my_algorithm", ...))
        await trio.sleep(30)
        desk.set_book("KXTEST-A", yes=[("0.40", "10")], no=[("0.56", "10")])  # sold to whoever bids 0.44
        result = await desk.daemon.wait(accepted.execution_id)
        assert result.execution.filled_quantity == "10.00"

    def test_it() -> None:
        run(trial, families=[FAMILY])

All of it is what trades: the engine, its database (in memory), the control API, the client. Only the wires are not
there. A strategy is handed `desk.daemon`, which is an AsyncClient; it must wait by trio (`trio.sleep`). The same trial
with the same seed has the same history.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

import trio

from fsm_exec.algorithms import AnyFamily
from fsm_exec.algorithms.catalogue import Catalogue
from fsm_exec.algorithms.registry import Registry
from fsm_exec.control.app import ControlApp
from fsm_exec.control.broadcast import Watchers
from fsm_exec.control.client import AsyncClient
from fsm_exec.control.discovery import Address
from fsm_exec.control.limits import ControlLimits
from fsm_exec.control.loop_transport import LoopTransport
from fsm_exec.control.memory_transport import MemoryTransport
from fsm_exec.control.remote import RemoteDaemon
from fsm_exec.control.service import Control, DaemonInfo
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.tapes.profiles import DEFAULT_PROFILE
from fsm_exec.paper.tapes.tape import BookSnapshot
from fsm_exec.paper_session import Levels, PaperExchange, levels_of, open_paper_session
from fsm_exec.plugins import installed
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.runtime.logs import open_log

START_US: Final = 1_790_856_000_000_000  # 2026-10-01T12:00:00Z
T = TypeVar("T")

_ADDRESS: Final = Address("http://127.0.0.1:1", "in-memory")


@dataclass(frozen=True)
class PaperDesk:
    """`daemon` is the client of an engine that trades on `paper`."""

    daemon: AsyncClient
    paper: PaperExchange

    def open_market(self, ticker: str, *, yes: Levels = (), no: Levels = ()) -> None:
        """Open a market of whole cents whose book has these bids of other people, of either outcome: (price, count),
        in dollars and contracts. A bid of NO at 0.50 is an offer of YES at 0.50."""
        self.paper.open_market(ticker, yes=yes, no=no)

    def set_book(self, ticker: str, *, yes: Levels = (), no: Levels = ()) -> None:
        """Replace the bids of other people. Those that meet a resting order of ours trade with it."""
        self.paper.exchange.apply(ticker, BookSnapshot(levels_of(yes), levels_of(no)))

    def make_exclusive(self, event: str) -> None:
        """Let at most one market of `event` settle yes. The event of a ticker is what stands before its last dash."""
        self.paper.exchange.exclusive_events.add(event)

    def settle(self, event: str, winner: str | None = None) -> None:
        """Close all markets of `event` and settle `winner` yes, the others no. Raises UserError for a winner that is
        none of them, or a second one of an event whose markets exclude each other."""
        self.paper.exchange.determine_event(event, winner)

    def play(self, ticker: str, seconds: int, *, seed: int = 1, profile: str = DEFAULT_PROFILE) -> None:
        """Open a market and let a generated crowd trade on it from now on: the profiles of `fsm-exec demo`. Raises
        UserError for a profile or a length that makes no sense."""
        now_us = self.paper.clock.now_us()
        self.paper.play(generate(seed, seconds, profile=profile, ticker=ticker, start_us=now_us))


def run(trial: Callable[[PaperDesk], Awaitable[T]], *, families: Sequence[AnyFamily] = (), seed: int = 1) -> T:
    """What `trial` returns, run in virtual time with an engine of its own. `families` are methods beside those that
    ship and are installed, each by its name with its defaults. Raises what it raises."""
    return run_virtual(partial(_with_desk, trial, families), seed=seed)


async def _with_desk(trial: Callable[[PaperDesk], Awaitable[T]], families: Sequence[AnyFamily]) -> T:
    async with open_desk(families) as desk:
        try:
            return await trial(desk)
        except Exception as error:  # through the nurseries of the desk it would come wrapped in groups
            failure = error
    raise failure


@asynccontextmanager
async def open_desk(families: Sequence[AnyFamily] = ()) -> AsyncIterator[PaperDesk]:
    """The same for who runs trio himself; the clock must be a `trio.testing.MockClock` that jumps."""
    paper = PaperExchange.starting_at(START_US)
    own = {family.name: family for family in families}
    find_method = Catalogue((), Registry({**installed().usable(), **own})).find
    async with (
        open_paper_session(paper, methods=find_method) as session,
        trio.open_nursery() as nursery,
    ):
        watchers = Watchers(session.wall.now_us)
        session.store.listen(watchers.notify)
        about = DaemonInfo(version="testing", environment="paper", database=":memory:", since_us=START_US)
        control = Control(
            session.engine, session.store, session.wall, watchers, ControlLimits(), about, find_method, session.client
        )
        app = ControlApp(control, _ADDRESS.token, open_log(io.StringIO(), session.wall)).app
        transport = _OnVirtualTime(MemoryTransport(nursery, app))
        async with AsyncClient.of(RemoteDaemon(transport, lambda _: _ADDRESS)) as daemon:
            yield PaperDesk(daemon, paper)
        nursery.cancel_scope.cancel()


class _OnVirtualTime(LoopTransport):
    """Starts no thread: virtual time would not wait for it."""

    async def read_files(self, read: Callable[[], T]) -> T:
        return read()
