"""Two engines on one account: the second fences the first, and nothing is bought twice or forgotten."""

from __future__ import annotations

import io
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import trio

from fsm_exec.algorithms import method
from fsm_exec.core.errors import Fenced
from fsm_exec.core.leadership_port import Leader, LeadershipUnknown
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.market.orders import OrderReport, Placed, PlaceOrder
from fsm_exec.core.values.units import LINEAR_CENT, CountE2, parse_count, parse_price
from fsm_exec.kalshi import subscriptions
from fsm_exec.kalshi.client import KalshiClient
from fsm_exec.paper.matching_engine.orders import Order
from fsm_exec.paper.server.hosting import MemoryHost
from fsm_exec.paper.tapes.tape import BookSnapshot, tape_header
from fsm_exec.paper.venue import order_group_requests
from fsm_exec.paper_session import PaperExchange, access_to
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.runtime.engine import ExecutionRequest, MethodRef
from fsm_exec.runtime.fence import FenceSettings
from fsm_exec.runtime.group_cancels import GroupCancels
from fsm_exec.runtime.logs import open_log
from fsm_exec.session import Session, connect, open_session
from fsm_exec.store import open_virtual_store
from tests.contract.test_under_faults import CASH, START_US

TICKER = "KXTEST-26OCT01-A"
PRICE = parse_price("0.3000")
TARGET = parse_count("10")
HORIZON_S = 600


@dataclass
class Record:
    """A record of who leads, in memory: what all engines of the test see. `reachable` False: nobody sees it."""

    leader: Leader | None = None
    groups: list[str] = field(default_factory=list)
    reachable: bool = True

    async def who_leads(self) -> Leader | None:
        """Return who leads."""
        self._reach()
        return self.leader

    async def note_group(self, group_id: str) -> None:
        """Keep a group."""
        self._reach()
        self.groups.append(group_id)

    async def load_groups(self) -> list[str]:
        """Load all groups."""
        self._reach()
        return self.groups

    def _reach(self) -> None:
        if not self.reachable:
            raise LeadershipUnknown("the record is out of reach")


class _ReadsDown(httpx.AsyncBaseTransport):
    """The way to an exchange that answers no read before `is_over`."""

    def __init__(self, exchange: httpx.AsyncBaseTransport) -> None:
        self._exchange, self.is_over = exchange, False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request on, or refuse it."""
        if request.method == "GET" and not self.is_over:
            return httpx.Response(503, json={"error": {"code": "service_unavailable", "message": "not now"}})
        return await self._exchange.handle_async_request(request)


@dataclass
class Stage:
    """One exchange, a directory for databases, and an engine's parts to open."""

    paper: PaperExchange
    host: MemoryHost
    account: object
    credentials: object
    taker: KalshiClient
    directory: Path
    wall: WallClock
    record: Record = field(default_factory=Record)
    log: io.StringIO = field(default_factory=io.StringIO)
    drawn: int = 0

    @asynccontextmanager
    async def engine(
        self,
        name: str,
        *,
        takeover: bool = False,
        contracts: int = 1_000,
        wait: bool = True,
        record: Record | None = None,
    ) -> AsyncIterator[Session]:
        """Open an engine on a database of this name; leaving leaves its orders as they are."""

        def draw() -> str:
            self.drawn += 1
            return f"{self.drawn:010d}".translate(str.maketrans("0123456789", "abcdefghij"))

        settings = FenceSettings(contracts_in_15_s=contracts, leadership=record or Record())
        async with (
            open_virtual_store(
                self.path(name), draw_instance=draw, at_us=self.wall.now_us(), takeover=takeover
            ) as store,
            open_session(
                access_to(self.host, self.credentials),  # type: ignore[arg-type]
                store,
                self.wall,
                open_log(self.log, self.wall),
                tickers=[TICKER],
                seed=1,
                wait=wait,
                fence=settings,
                takeover=takeover,
            ) as session,
        ):
            yield session
            if session.engine.state in ("recovering", "running", "halted"):
                await session.engine.drain(cancel_orders=False, within_s=20)

    def path(self, name: str) -> Path:
        """Return where a database is."""
        return self.directory / f"{name}.sqlite"

    def copy(self, name: str, to: str) -> None:
        """Copy a database as it stands now, also beside its engine."""
        with closing(sqlite3.connect(self.path(name))) as original, closing(sqlite3.connect(self.path(to))) as copy:
            original.backup(copy)

    def orders(self) -> list[Order]:
        """Return all orders of the account, oldest first."""
        return [one for one in self.paper.exchange.orders.values() if one.account_id == self.account.account_id]  # type: ignore[attr-defined]

    def resting(self) -> list[Order]:
        """Return the orders that rest."""
        return [one for one in self.orders() if one.status == "resting"]

    def bought(self) -> CountE2:
        """Return how much the account bought."""
        return CountE2(sum(one.filled_e2 for one in self.orders()))

    async def sell(self, contracts: int) -> None:
        """Have somebody else sell to our bids."""
        answer = await self.taker.place(
            PlaceOrder(
                effect_id="sold",
                client_order_id=f"seller-{trio.current_time():.3f}".replace(".", "-"),
                ticker=TICKER,
                outcome="no",
                price_e4=parse_price("0.7000"),
                count_e2=parse_count(str(contracts)),
                time_in_force="immediate_or_cancel",
                post_only=False,
                expiration_s=None,
            )
        )
        assert isinstance(answer, Placed), answer
        await trio.sleep(1)


async def submit(
    session: Session, *, contracts: CountE2 = TARGET, horizon_s: int = HORIZON_S, by: str = "simple_limit"
) -> str:
    """Submit an execution, by default one that rests at its price."""
    chosen = method(by)
    return await session.engine.submit(
        ExecutionRequest(
            ticker=TICKER,
            outcome="yes",
            target_e2=contracts,
            method=MethodRef(chosen.full_name, chosen),
            limits=resolve_limits(PRICE, LINEAR_CENT, session.engine.feeds[TICKER].terms.fees),
            horizon_us=horizon_s * 1_000_000,
        )
    )


def reason_of(session: Session, name: str) -> str | None:
    """Return why an execution ends, which may still wait for its deadline's book."""
    execution = session.engine.dispatch.execution_of(name)
    assert execution is not None
    return execution.reason


@pytest.fixture(params=[True, False], ids=["told", "not-told"])
def is_told(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the exchange has the channel by which it tells of order groups; else it refuses the subscription."""
    if not request.param:
        monkeypatch.setattr(subscriptions, "GROUP_CHANNEL", "order_groups_of_tomorrow")
    return bool(request.param)


def play(directory: Path, acts: Callable[[Stage], Awaitable[None]]) -> None:
    """Run `acts` on a stage of its own, in virtual time."""

    async def run() -> None:
        wall = WallClock(START_US)
        paper = PaperExchange.starting_at(START_US, seed=1)
        paper.exchange.add_market(tape_header(TICKER, "linear_cent", category="Testing"))
        book = BookSnapshot(((parse_price("0.20"), TARGET),), ((parse_price("0.50"), TARGET),))
        paper.exchange.apply(TICKER, book)
        account, credentials = paper.gate.open_account(CASH, "ed25519")
        _, other = paper.gate.open_account(CASH, "ed25519")
        async with paper.in_memory() as host, connect(access_to(host, other), wall, seed=2) as taker:
            await acts(Stage(paper, host, account, credentials, taker, directory, wall))

    run_virtual(run, seed=1)


def groups_in(path: Path) -> dict[str, tuple[int | None, str]]:
    """Return the order groups that a database knows: epoch and state by id."""
    with closing(sqlite3.connect(path)) as connection:
        return {
            name: (epoch, state)
            for name, epoch, state in connection.execute("SELECT group_id, epoch, state FROM epoch_groups")
        }


def states_in(path: Path) -> list[str]:
    """Return the states of a database's epochs, oldest first."""
    with closing(sqlite3.connect(path)) as connection:
        return [state for (state,) in connection.execute("SELECT state FROM epochs ORDER BY number")]


def test_every_order_is_in_the_group_of_its_opening(tmp_path: Path) -> None:
    """The group is in the database before the order; the next opening has another one, and keeps the orders of this."""

    async def acts(stage: Stage) -> None:
        async with stage.engine("a") as session:
            await submit(session)
            await trio.sleep(1)
            (first,) = stage.resting()
            assert groups_in(stage.path("a")) == {first.group_id: (1, "live")}
        async with stage.engine("a") as session:
            assert stage.resting() == [first]
            await submit(session)
            await trio.sleep(1)
            second = next(one for one in stage.resting() if one is not first)
            assert second.group_id not in (None, first.group_id)
            assert groups_in(stage.path("a"))[second.group_id or ""] == (2, "live")
            await trio.sleep(300)
            assert groups_in(stage.path("a"))[first.group_id or ""] == (1, "live"), "its order rests"

    play(tmp_path, acts)


def test_a_group_without_orders_is_deleted_after_the_next_start(tmp_path: Path) -> None:
    """Not before whatever the old process sent has arrived; an order that rests keeps its group."""

    async def acts(stage: Stage) -> None:
        async with stage.engine("a"):
            await trio.sleep(1)
        (old,) = groups_in(stage.path("a"))
        async with stage.engine("a"):
            await trio.sleep(30)
            assert old in stage.paper.exchange.groups
            await trio.sleep(60)
            assert old not in stage.paper.exchange.groups
        assert groups_in(stage.path("a"))[old][1] == "deleted"

    play(tmp_path, acts)


def test_a_successor_ends_the_orders_of_an_engine_that_lives(tmp_path: Path, is_told: bool) -> None:
    """What rested is gone, what was bought counts, the rest is bought by the successor alone; the other one stops, at
    once where the exchange tells of its group."""

    async def acts(stage: Stage) -> None:
        async with AsyncExitStack() as zombies:
            first = await zombies.enter_async_context(stage.engine("a", record=stage.record))
            await submit(first)
            await trio.sleep(1)
            (old,) = stage.resting()
            stage.copy("a", "b")
            await stage.sell(4)  # in the tail that the copy does not have
            stage.record.leader = Leader("b", 2)
            async with stage.engine("b", takeover=True, record=Record(groups=stage.record.groups)) as second:
                await trio.sleep(1)
                assert old.status == "canceled"
                (new,) = stage.resting()
                assert (new.remaining_e2, new.group_id == old.group_id) == (600, False)
                name = f"fx{second.store.instance}-e000001-"
                assert new.client_order_id.startswith(name), new.client_order_id
                with trio.fail_after(120):
                    if not is_told:
                        await submit(first)
                    with pytest.raises(Fenced, match="b has taken over, in term 2"):
                        await first.engine.wait_idle()
                assert len(stage.orders()) == 2
                await stage.sell(6)
                await trio.sleep(5)
                assert second.engine.ended["e000001"].execution.reason == "completed"
                assert stage.bought() == TARGET
            assert states_in(stage.path("b")) == ["fenced", "open"]

    play(tmp_path, acts)


@pytest.mark.parametrize("knows", ["database", "record", "orders"])
def test_the_groups_of_a_lost_tail_are_found(tmp_path: Path, knows: str) -> None:
    """Of a group that the copy lost the record of who leads tells, or else the orders in it."""

    async def acts(stage: Stage) -> None:
        async with stage.engine("a", record=stage.record) as first:
            stage.copy("a", "b")
            await trio.sleep(1)
            await submit(first)
            await trio.sleep(1)
            if knows != "record":
                stage.copy("a", "b")
            if knows == "orders":
                with closing(sqlite3.connect(stage.path("b"), isolation_level=None)) as lost:
                    lost.execute("DELETE FROM epoch_groups")
            (old,) = stage.resting()
            record = stage.record if knows == "record" else Record()
            async with stage.engine("b", takeover=True, record=record):
                await trio.sleep(1)
                assert old.status == "canceled"
                assert groups_in(stage.path("b"))[old.group_id or ""][1] == "triggered"
            assert stage.paper.exchange.groups[old.group_id or ""].triggered

    play(tmp_path, acts)


def test_what_was_bought_in_the_lost_tail_is_not_bought_again(tmp_path: Path) -> None:
    """An order that the copy never knew is adopted with its fills, before anything is placed."""

    async def acts(stage: Stage) -> None:
        async with stage.engine("a") as first:
            await submit(first)
            stage.copy("a", "b")  # the acceptance, and nothing after it
            await trio.sleep(1)
            await stage.sell(7)
            async with stage.engine("b", takeover=True) as second:
                await trio.sleep(1)
                (new,) = stage.resting()
                assert new.remaining_e2 == 300
                await stage.sell(9)
                await trio.sleep(5)
                assert second.engine.ended["e000001"].execution.filled_e2 == TARGET
                assert stage.bought() == TARGET

    play(tmp_path, acts)


@pytest.mark.parametrize("asked", ["cancel", "halt", "deadline"])
@pytest.mark.parametrize("knows", ["acceptance", "order"])
def test_what_ends_before_the_fence_is_up_has_what_was_bought_in_the_lost_tail(
    tmp_path: Path, knows: str, asked: str
) -> None:
    """A stop waits for nothing, so an execution may be over when the fenced engine's orders are listed: it adopts them
    all the same, with all that they bought."""

    async def acts(stage: Stage) -> None:
        horizon_s = 15 if asked == "deadline" else HORIZON_S
        async with stage.engine("a") as first:
            name = await submit(first, horizon_s=horizon_s)
            if knows == "order":
                await trio.sleep(1)
            stage.copy("a", "b")
            await trio.sleep(1)
            await stage.sell(7)
            stage.host.transport = silent = _ReadsDown(stage.host.transport)
            async with stage.engine("b", takeover=True, wait=False) as second:
                await trio.sleep(1)
                if asked == "cancel":
                    await second.engine.cancel(name)
                elif asked == "halt":
                    second.engine.halt()
                await trio.sleep(horizon_s + 10 if asked == "deadline" else 10)
                silent.is_over = True
                with trio.fail_after(200):
                    await second.engine.wait_running()
                    await second.engine.wait_idle()
                execution = second.engine.ended[name].execution
                assert stage.bought() == execution.filled_e2 == 700
                assert stage.resting() == []

    play(tmp_path, acts)


def test_a_takeover_that_dies_is_repeated_by_the_next_start(tmp_path: Path) -> None:
    """The opening alone made it durable that there is somebody to fence."""

    async def acts(stage: Stage) -> None:
        async with stage.engine("a") as first:
            await submit(first)
            await trio.sleep(1)
            (old,) = stage.resting()
            stage.copy("a", "b")
            opening = open_virtual_store(
                stage.path("b"), draw_instance=lambda: "zzzzzzzzzz", at_us=stage.wall.now_us(), takeover=True
            )
            async with opening:
                pass
            assert states_in(stage.path("b")) == ["fencing", "open"]
            async with stage.engine("b"):
                assert old.status == "canceled"
                await trio.sleep(1)
                assert len(stage.resting()) == 1
            assert states_in(stage.path("b")) == ["fenced", "closed", "open"]

    play(tmp_path, acts)


def test_too_much_filled_at_once_halts_until_a_person_says_so(tmp_path: Path, is_told: bool) -> None:
    """The exchange ends everything; the engine hears of it, or finds out at the next order, halts, and resets its group
    when it is resumed. Where it is told, what was at work ends by the halt and not as if somebody had cancelled."""

    async def acts(stage: Stage) -> None:
        async with stage.engine("a", contracts=5) as session:
            names = [await submit(session), await submit(session)]
            await trio.sleep(1)
            await stage.sell(6)
            await trio.sleep(1)
            assert stage.resting() == []
            with trio.fail_after(60):
                if not is_told:
                    await submit(session)
                while session.engine.state != "halted":  # noqa: ASYNC110 - no event marks it
                    await trio.sleep(0.5)
            assert "contracts_in_15_s" in (session.engine.why_halted or "")
            assert await session.store.load_halted_at() is not None
            assert any("order group" in why for why in session.engine.status().why_degraded)
            await session.engine.wait_idle()
            reasons = [session.engine.ended[name].execution.reason for name in names]
            assert reasons == ["halt" if is_told else "external"] * 2
            await trio.sleep(30)
            assert stage.resting() == []
            session.engine.resume()
            await submit(session)
            await trio.sleep(2)
            assert len(stage.resting()) == 1
            assert session.engine.status().why_degraded == ()

    play(tmp_path, acts)


def test_without_a_record_of_its_group_nothing_is_placed(tmp_path: Path) -> None:
    """The group must be where a successor finds it; until then places wait, and the status says why."""

    async def acts(stage: Stage) -> None:
        stage.record.reachable = False
        async with stage.engine("a", record=stage.record) as session:
            await submit(session)
            await trio.sleep(30)
            assert stage.orders() == []
            assert any("noted" in why for why in session.engine.status().why_degraded)
            stage.record.reachable = True
            await trio.sleep(60)
            assert len(stage.resting()) == 1
            assert session.engine.status().why_degraded == ()

    play(tmp_path, acts)


def test_two_copies_give_no_id_and_no_name_twice(tmp_path: Path) -> None:
    """Neither one that the original gives, nor one that the other copy gives."""

    async def acts(stage: Stage) -> None:
        async with stage.engine("a") as session:
            await submit(session)
            await trio.sleep(1)
        for name in ("b", "c"):
            shutil.copy(stage.path("a"), stage.path(name))
        names = []
        for name in ("a", "b", "c"):
            async with stage.engine(name, takeover=name != "a") as session:
                names.append(await submit(session))
                await trio.sleep(1)
                assert len(stage.resting()) == 2
                await session.engine.drain(cancel_orders=True)  # or the next one would not start beside its orders
        assert names[0] == "e000002"
        assert len(set(names)) == 3
        assert len({one.client_order_id for one in stage.orders()}) == len(stage.orders())

    play(tmp_path, acts)


@pytest.mark.parametrize("told_s", [0.5, None], ids=["the-trigger-comes-later", "cancelled-by-hand"])
def test_why_an_order_ended_is_waited_for(tmp_path: Path, told_s: float | None) -> None:
    """A trigger that is told after the order's end is the reason for it; an end without one is the owner's doing."""

    async def acts(stage: Stage) -> None:
        async with stage.engine("a") as session:
            name = await submit(session)
            await trio.sleep(1)
            (order,) = stage.resting()
            stage.paper.exchange.cancel(order, None)
            if told_s is not None:
                await trio.sleep(told_s)
                stage.paper.exchange.trigger_group(stage.paper.exchange.groups[order.group_id or ""])
            await trio.sleep(10)
            assert reason_of(session, name) == ("external" if told_s is None else "halt")
            assert session.engine.state == ("running" if told_s is None else "halted")

    play(tmp_path, acts)


@pytest.mark.parametrize("by", ["market", "simple_limit"])
def test_an_end_that_is_our_own_doing_is_not_kept_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """What an immediate order leaves over, and what we cancel, ends without a reason too: nobody waits for one."""
    kept: list[str] = []
    keep_back = GroupCancels.keep_back

    def watched(self: GroupCancels, report: OrderReport, pass_on: Callable[[OrderReport], None]) -> bool:
        is_kept = keep_back(self, report, pass_on)
        kept.extend([report.client_order_id] * is_kept)
        return is_kept

    monkeypatch.setattr(GroupCancels, "keep_back", watched)

    async def acts(stage: Stage) -> None:
        offered = BookSnapshot(((parse_price("0.20"), TARGET),), ((parse_price("0.70"), parse_count("4")),))
        stage.paper.exchange.apply(TICKER, offered)
        async with stage.engine("a") as session:
            name = await submit(session, by=by)
            await trio.sleep(2)
            await session.engine.cancel(name)
            await trio.sleep(5)
            assert {one.status for one in stage.orders()} == {"canceled"}
            assert kept == []

    play(tmp_path, acts)


def test_a_group_that_is_deleted_is_made_anew_at_once(tmp_path: Path) -> None:
    """Who deletes it cancels its orders by hand; the next order is placed without being refused first."""

    async def acts(stage: Stage) -> None:
        async with stage.engine("a") as session:
            name = await submit(session)
            await trio.sleep(1)
            (order,) = stage.resting()
            assert isinstance(order.group_id, str)
            deleted = order_group_requests.delete
            deleted(stage.paper.exchange, stage.account, order.group_id)  # type: ignore[arg-type]
            await trio.sleep(5)
            assert reason_of(session, name) == "external"
            assert session.engine.state == "running"
            (anew,) = stage.paper.exchange.groups
            await submit(session)
            await trio.sleep(1)
            assert [one.group_id for one in stage.resting()] == [anew]

    play(tmp_path, acts)
