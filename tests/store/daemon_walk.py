"""A daemon on a database with a past, in virtual time: started, asked for everything its API answers, given work, and
left alone until each of its rounds has come."""

from __future__ import annotations

import inspect
import io
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import httpx
import msgspec
import pytest
import trio

from fsm_exec.algorithms import method
from fsm_exec.cli.database.methods import save_shipped_methods
from fsm_exec.control.app import ControlApp
from fsm_exec.control.broadcast import Watchers
from fsm_exec.control.endpoints import ENDPOINTS
from fsm_exec.control.limits import ControlLimits
from fsm_exec.control.service import Control, DaemonInfo
from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.account.rows import AccountFill
from fsm_exec.core.alerts.alerts import Alert, AlertOver
from fsm_exec.core.alerts.channel_port import Message
from fsm_exec.core.alerts.settings import AlertSettings
from fsm_exec.core.epochs import EpochGroup
from fsm_exec.core.journal.rows import EdgeFigures, LostSubmission, RefusedRow
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import CountE2, MoneyE6, PriceE4
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.venue.tape_player import TapePlayer
from fsm_exec.paper_session import PaperExchange, access_to
from fsm_exec.runtime.alerts.delivery import open_delivery
from fsm_exec.runtime.alerts.notifier import AlertSetup
from fsm_exec.runtime.alerts.watch import AlertWatch
from fsm_exec.runtime.book_recorder import DepthSettings
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.runtime.logs import open_log
from fsm_exec.session import open_session
from fsm_exec.store import SqliteStore, open_virtual_store
from tests.benchmarks.big_database import DAY_S, DAYS, ENVIRONMENT, START_US

P = ParamSpec("P")
T = TypeVar("T")
SEED: Final = 3
TICKER: Final = "KXWALK-24FEB01-A"
NOW_US: Final = START_US + (DAYS + 30) * DAY_S * 1_000_000
TAPE_S: Final = 200
ROUNDS_S: Final = 3 * 3_600  # longer than the longest round
WATCHED_S: Final = 5
TOKEN: Final = "a-token-of-forty-three-characters-for-tests"
RISK: Final = RiskLimits(max_worst_case_account_dollars=10**6, daily_loss_dollars=10**5)
ORDER: Final[dict[str, object]] = {
    "ticker": TICKER,
    "outcome": "yes",
    "quantity": "40",
    "limit": "0.90",
    "horizon_s": 30,
}
EVENT: Final = "KXBIG-23JAN01"
_METHODS_OF_STORE: Final = {name: one for name, one in vars(SqliteStore).items() if inspect.iscoroutinefunction(one)}
NEVER_ASKED: Final = frozenset({"load_executions", "load_differences", "save_rewards", "save_settlements", "watch"})
"""Not asked by a daemon; asked of a programme or a settlement at the exchange, and a row by its key; no statement."""

Asked = tuple[Mapping[str, str], Mapping[str, object] | None]
"""The query and the body of a request."""

NOTHING: Final[Asked] = ({}, None)
EMPTY: Final[Asked] = ({}, {})
STATES: Final = ("pending", "split", "walking", "partial", "filled", "cancelled")


def walk_daemon(database: Path) -> None:
    """Walk through all that a daemon does with this database; nothing that a store can be asked is left out."""
    asked: set[str] = set()
    with pytest.MonkeyPatch.context() as patch:
        for name, method_of_store in _METHODS_OF_STORE.items():
            patch.setattr(SqliteStore, name, _noted(name, method_of_store, asked))
        run_virtual(lambda: _walk(database), seed=SEED)
    unasked = _METHODS_OF_STORE.keys() - asked - NEVER_ASKED
    assert not unasked, f"the walk does not ask the store to {sorted(unasked)}"


def _noted(name: str, function: Callable[P, Awaitable[T]], asked: set[str]) -> Callable[P, Awaitable[T]]:
    async def noted(*arguments: P.args, **options: P.kwargs) -> T:
        asked.add(name)
        return await function(*arguments, **options)

    return noted


def requests_of(ended: str, event: str) -> dict[str, list[Asked]]:
    """Return what each endpoint is asked, by its name: every filter, alone and before another page."""
    lists: list[Mapping[str, str]] = [
        {},
        *({"state": state} for state in STATES),
        {"unfinished": "true"},
        {"quarantined": "true"},
        {"ticker": f"{event}-03"},
        {"ticker": f"{event}-03", "state": "cancelled"},
        {"ticker": "KXNOBODY"},
        {"unfinished": "true", "quarantined": "true"},
        {"state": "filled", "quarantined": "true"},
    ]
    pnl = ("market", "event", "series", "method", "execution", "day")
    return {
        "health": [NOTHING],
        "status": [NOTHING],
        "overview": [NOTHING],
        "submit": [({}, {"key": "k1", **ORDER}), ({}, {"key": "k1", **ORDER}), ({}, {"key": "key-e000007", **ORDER})],
        "list": [(dict(each, **page), None) for each in lists for page in ({}, {"before": ended})],
        "show": [({"journal_lines": "1000"}, None)],
        "follow": [({"after": "1"}, None)],
        "follow_all": [NOTHING, ({"after": "1"}, None)],
        "cancel": [EMPTY],
        "resume_execution": [EMPTY],
        "halt": [EMPTY],
        "resume": [EMPTY],
        "markets": [NOTHING],
        "book": [NOTHING],
        "estimate": [({}, {name: value for name, value in ORDER.items() if name != "horizon_s"})],
        "close": [({}, {"key": "k2", "ticker": TICKER}), ({}, {"key": "k3", "event": "KXWALK-24FEB01"})],
        "positions": [NOTHING],
        "pnl": [({"by": by}, None) for by in pnl],
        "account": [NOTHING],
        "risk": [NOTHING],
        "risk_resume": [EMPTY],
        "risk_reduce": [EMPTY],
        "alerts": [NOTHING, ({"standing": "true"}, None)],
        "page_code": [EMPTY],
        "alerts_test": [EMPTY],
        "openapi": [NOTHING],
    }


async def _ask_for_the_rare(store: SqliteStore, now_us: int) -> None:
    """Ask what a daemon asks only after damage, a late fill, a trade by hand, a settlement or a takeover."""
    await store.load_halted_at()
    await store.begin_fencing()
    await store.end_fencing()
    await store.load_epochs()
    await store.save_groups(
        [EpochGroup(group_id="g1", epoch=1, exchange_index=0, limit_e2=CountE2(100), state="triggered")]
    )
    await store.save_beat(to_iso(now_us))
    lost = LostSubmission("k8", "e000900", "aaaaaaaaaa", TICKER, "yes", "1.00", to_iso(now_us), None, to_iso(now_us))
    await store.save_lost([lost])
    await store.load_lost("k8")
    await store.load_all_lost()
    await store.knows_key("k8")
    await store.load_beat()
    await store.load_acceptance("e000007")
    await store.knows_key("key-e000007")
    await store.wait_for_turn()
    await store.load_execution("e000020")
    await store.load_metrics("e000020")
    await store.load_reservation("e000020")
    await store.load_deadline_book("e000020")
    await store.load_stored_marks([f"{EVENT}-03", "KXNOBODY"])
    await store.load_unsettled_fills(f"{EVENT}-03")
    await store.save_note("e000020", "it is noted")
    await store.save_refused(
        RefusedRow(
            at_us=now_us,
            key="k9",
            ticker=TICKER,
            outcome="yes",
            method="simple_limit@1",
            quantity="1.00",
            target_price=None,
            edge=EdgeFigures(),
            refusal="no_edge",
        )
    )
    await store.save_alerts([Alert(kind="failure", subject="", text="it failed", at_us=now_us, stands=True)])
    await store.save_alerts([AlertOver(kind="failure", subject="", text="it is over", at_us=now_us)])
    fill = AccountFill(
        order_id="o1",
        fill_id="f1",
        ticker=TICKER,
        outcome="yes",
        price_e4=PriceE4(5_000),
        count_e2=CountE2(100),
        fee_e6=MoneyE6(0),
        is_taker=True,
        traded_at_us=now_us,
    )
    await store.save_account_fills([fill])
    await store.load_books(TICKER)
    await store.move_ended(1, 1)  # nothing ended before then: what may move is looked for


class _Silent:
    """A channel that takes everything."""

    async def send(self, message: Message) -> None:
        await trio.lowlevel.checkpoint()


async def _walk(database: Path) -> None:
    wall, log_file = WallClock(NOW_US), io.StringIO()
    log = open_log(log_file, wall)
    paper = PaperExchange.starting_at(NOW_US, seed=SEED)
    tape = generate(SEED, TAPE_S, ticker=TICKER, start_us=NOW_US, profile="liquid")
    TapePlayer(paper.exchange, tape).start(NOW_US)
    _, credentials = paper.gate.open_account(MoneyE6(10**12), "ed25519")
    watchers = Watchers(wall.now_us)
    setup = AlertSetup(AlertSettings(), {"silent": _Silent()}, ENVIRONMENT, str(database))
    async with (
        open_virtual_store(database, draw_instance=lambda: "walkaaaaaa", at_us=NOW_US) as store,
        paper.in_memory() as host,
    ):
        await store.bind(ENVIRONMENT)
        store.listen(watchers.notify)
        await save_shipped_methods(store, wall.now_us())
        async with (
            open_delivery(store, setup, wall, log) as delivery,
            open_session(
                access_to(host, credentials), store, wall, log, depth=DepthSettings(), risk=RISK, seed=SEED
            ) as session,
        ):
            about = DaemonInfo(version="1", environment=ENVIRONMENT, database=str(database), since_us=NOW_US)
            control = Control(
                session.engine, store, wall, watchers, ControlLimits(), about, method, session.client, delivery
            )
            session.nursery.start_soon(AlertWatch(session.engine, store, delivery, setup.settings, None, wall, log).run)
            await store.quarantine("e000004", "it is looked at", wall.now_us())
            app = ControlApp(control, TOKEN, log).app
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app),
                base_url="http://127.0.0.1:1",
                headers={"Authorization": f"Bearer {TOKEN}"},
            ) as http:
                await http.get("/metrics")
                await trio.sleep(1)
                await _ask_everything(http)
            await trio.sleep(ROUNDS_S)
        await _ask_for_the_rare(store, wall.now_us())
        assert "control_failed" not in log_file.getvalue(), log_file.getvalue()


async def _ask_everything(http: httpx.AsyncClient) -> None:
    asked = requests_of("e000100", EVENT)
    assert asked.keys() == {endpoint.name for endpoint in ENDPOINTS}, "an endpoint is not asked"
    statuses: dict[str, list[tuple[int, str]]] = {}
    for endpoint in sorted(ENDPOINTS, key=lambda one: one.name in ("halt", "resume")):  # work first, the brake last
        path = endpoint.full_path.format(execution_id="e000009", ticker=TICKER)
        for query, body in asked[endpoint.name]:
            with trio.move_on_after(WATCHED_S):  # what streams for ever is left
                content = None if body is None else msgspec.json.encode(body)
                answer = await http.request(endpoint.method, path, params=query, content=content)
                assert answer.status_code < 500, (endpoint.name, answer.text)
                statuses.setdefault(endpoint.name, []).append((answer.status_code, answer.text[:200]))
    refused = {name: found for name, found in statuses.items() if any(status in (400, 404, 405) for status, _ in found)}
    assert not refused.keys() - {"page_code"}, refused
    assert statuses["submit"][0][0] == 201, statuses["submit"]
