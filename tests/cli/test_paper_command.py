"""`fsm-exec paper` as a process: one line when it is ready, a real client at work on it, a clean end."""

from __future__ import annotations

import os
import random
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
import trio

from fsm_exec.core.market.orders import Cancelled, CancelOrder, Placed, PlaceOrder, Unknown
from fsm_exec.core.values.units import CountE2, PriceE4, parse_count, parse_price
from fsm_exec.kalshi.client import open_client
from fsm_exec.kalshi.signing import SigningKey
from fsm_exec.kalshi.websocket_dial import dial_url
from fsm_exec.runtime.clock import WallClock, system_us
from fsm_exec.session import Access, connect
from tests.cli.support import COMMAND, HANGING_UP, environment, run
from tests.contract.conftest import Watcher
from tests.small_tapes import write_passing_offers

END_S = 120


class Ready(msgspec.Struct, forbid_unknown_fields=True):
    rest_url: str
    ws_url: str
    api_key_id: str
    private_key_path: str
    markets: list[str]


class Served:
    def __init__(self, process: subprocess.Popen[bytes], ready: Ready) -> None:
        self.process, self.ready = process, ready
        self.rest, self.err = b"", b""

    def end(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code; what it printed after its first line is in `rest` and `err`."""
        self.process.send_signal(by)
        self.rest, self.err = self.process.communicate(timeout=END_S)
        return self.process.returncode


@contextmanager
def served(directory: Path, *arguments: str) -> Iterator[Served]:
    process = subprocess.Popen(
        [*COMMAND, "paper", *arguments],
        cwd=directory,
        env={**environment(), "TMPDIR": str(directory)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    with process:
        try:
            line = process.stdout.readline()
            assert line.endswith(b"\n"), process.communicate(timeout=END_S)[1]
            yield Served(process, msgspec.json.decode(line, type=Ready))
        finally:
            if process.poll() is None:
                process.kill()


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_ends_cleanly(tmp_path: Path, by: signal.Signals) -> None:
    """Exit 0, nothing more printed, the ports free, the key gone; meanwhile the key was its owner's alone."""
    with served(tmp_path) as paper:
        key = Path(paper.ready.private_key_path)
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
        assert paper.ready.markets == ["KXPAPER-DEMO-A"]
        ports = [int(url.split(":")[2].split("/")[0]) for url in (paper.ready.rest_url, paper.ready.ws_url)]
        assert paper.ready.rest_url == f"http://127.0.0.1:{ports[0]}/trade-api/v2"
        assert paper.ready.ws_url == f"ws://127.0.0.1:{ports[1]}/trade-api/ws/v2"
        assert paper.end(by) == 0
    assert (paper.rest, paper.err) == (b"", b"")
    assert list(tmp_path.iterdir()) == []
    for port in ports:
        with socket.socket() as free:
            free.bind(("127.0.0.1", port))


def test_a_terminal_that_is_closed_leaves_no_key_behind(tmp_path: Path) -> None:
    """Its own terminal hangs up: SIGHUP, and nothing can be printed any more. The directory of the key is gone."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", HANGING_UP, *COMMAND, "paper"],
        cwd=tmp_path,
        env={**environment(), "TMPDIR": str(tmp_path)},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    with process:
        try:
            ready = b""
            while b"}" not in ready:
                ready += os.read(ours, 4_096)
            assert [path.name[:15] for path in tmp_path.iterdir()] == ["fsm-exec-paper-"]
            os.close(ours)
            assert process.wait(timeout=END_S) == 0
        finally:
            process.kill()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("between_s", [0.003, 0.02, 0.06, 0.1])
def test_a_terminal_that_hangs_up_twice_ends_it_once(tmp_path: Path, between_s: float) -> None:
    """As a terminal does that is closed, on the session and on its foreground: it ends as after one.

    The later ones meet an interpreter that has taken its handlers away already.
    """
    process = subprocess.Popen(
        [*COMMAND, "paper"], cwd=tmp_path, env={**environment(), "TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE
    )
    with process:
        try:
            assert process.stdout is not None
            while b"}" not in process.stdout.readline():
                pass
            process.send_signal(signal.SIGHUP)
            time.sleep(between_s)
            process.send_signal(signal.SIGHUP)
            assert process.wait(timeout=END_S) == 0
        finally:
            process.kill()
    assert list(tmp_path.iterdir()) == []


async def _filled_by_offers(ready: Ready) -> int:
    """What a bid at 0.42 got of the offers there, after four of them."""
    async with open_client(
        base_url=ready.rest_url,
        api_key_id=ready.api_key_id,
        key=SigningKey.load(Path(ready.private_key_path)),
        dial=dial_url(ready.ws_url),
        wall_us=system_us,
        rng=random.Random(1),
    ) as client:
        (ticker,), marked = ready.markets, PriceE4(3_000)
        watcher = Watcher()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.stream, watcher, (ticker,))
            await watcher.until(lambda: watcher.ready)
            order = PlaceOrder(
                effect_id="e1:1:1",
                client_order_id="fxaaaaaaaaaa-e1-1-1",
                ticker=ticker,
                outcome="yes",
                price_e4=PriceE4(4_200),
                count_e2=CountE2(10_000),
                time_in_force="good_till_canceled",
                post_only=True,
                expiration_s=system_us() // 1_000_000 + 600,
            )
            assert isinstance(await client.place(order), Placed)
            until = watcher.books[ticker].yes.get(marked, 0) + 400
            await watcher.until(lambda: watcher.books[ticker].yes.get(marked, 0) >= until)
            nursery.cancel_scope.cancel()
        return sum(fill.count_e2 for fill in (await client.fetch_fills(ticker)).fills)


@pytest.mark.parametrize("fill_model", ["recorded", "trades"])
def test_makers_cross_as_the_fill_model_says(tmp_path: Path, fill_model: str) -> None:
    """Offers that pass at our bid fill it, or none does."""
    tape = write_passing_offers(tmp_path / "offers.jsonl.gz")
    with served(tmp_path, "--recording", str(tape), "--fill-model", fill_model) as paper:
        filled = trio.run(_filled_by_offers, paper.ready)
        assert paper.end() == 0
    assert (filled > 0) == (fill_model == "recorded")


async def _trade(ready: Ready) -> list[str]:
    """Place and cancel, with the stream open; the classes of the answers."""
    answers: list[object] = []
    async with open_client(
        base_url=ready.rest_url,
        api_key_id=ready.api_key_id,
        key=SigningKey.load(Path(ready.private_key_path)),
        dial=dial_url(ready.ws_url),
        wall_us=system_us,
        rng=random.Random(1),
    ) as client:
        watcher = Watcher()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.stream, watcher, tuple(ready.markets))
            await watcher.until(lambda: watcher.ready)
            order = PlaceOrder(
                effect_id="e1:1:1",
                client_order_id="fxaaaaaaaaaa-e1-1-1",
                ticker=ready.markets[0],
                outcome="yes",
                price_e4=PriceE4(100),
                count_e2=CountE2(100),
                time_in_force="good_till_canceled",
                post_only=False,
                expiration_s=system_us() // 1_000_000 + 600,
            )
            placed = await client.place(order)
            answers.append(placed)
            if isinstance(placed, Placed):
                await watcher.until(lambda: bool(watcher.orders))
                answers.append(
                    await client.cancel(
                        CancelOrder(
                            effect_id="e1:2:1",
                            client_order_id=order.client_order_id,
                            order_id=placed.order_id,
                            ticker=order.ticker,
                        )
                    )
                )
            nursery.cancel_scope.cancel()
    return [type(answer).__name__ for answer in answers]


def test_a_client_trades_with_what_the_line_says(tmp_path: Path) -> None:
    """Addresses, key and market are all it needs; wall time suits, also for expirations."""
    with served(tmp_path, "--market", "KXMINE-26DEC01-B", "--profile", "liquid", "--seed", "3") as paper:
        assert paper.ready.markets == ["KXMINE-26DEC01-B"]
        assert trio.run(_trade, paper.ready) == [Placed.__name__, Cancelled.__name__]
        assert paper.end() == 0


def test_faults_reach_the_client(tmp_path: Path) -> None:
    """A profile of one's own: the connection is cut before the answer."""
    (tmp_path / "cut.toml").write_text("[writes]\nlost_answer_per_mille = 1000\nhold_ms = 100\n")
    with served(tmp_path, "--faults", "cut.toml") as paper:
        assert trio.run(_trade, paper.ready) == [Unknown.__name__]
        assert paper.end() == 0


def recording(path: Path, seconds: int) -> Path:
    """Two frames so far apart; a plain text recording."""
    book = {"market_ticker": "KXREC-26DEC01-C", "market_id": "m", "yes_dollars_fp": [["0.4000", "5.00"]]}
    change = {
        "market_ticker": "KXREC-26DEC01-C",
        "market_id": "m",
        "price_dollars": "0.4100",
        "delta_fp": "1.00",
        "side": "yes",
        "ts_ms": 1_700_000_000_000,
    }
    lines = [
        {
            "header": {
                "format": "kalshi-ws-recording/1",
                "ticker": "KXREC-26DEC01-C",
                "price_level_structure": "linear_cent",
            }
        },
        {"recv_us": 1_700_000_000_000_000, "frame": {"type": "orderbook_snapshot", "sid": 1, "seq": 1, "msg": book}},
        {
            "recv_us": 1_700_000_000_000_000 + seconds * 1_000_000,
            "frame": {"type": "orderbook_delta", "sid": 1, "seq": 2, "msg": change},
        },
    ]
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    return path


async def _settled(ready: Ready) -> dict[str, str]:
    """The market, once it is over."""
    async with httpx.AsyncClient(base_url=ready.rest_url, trust_env=False) as http:
        with trio.fail_after(END_S):
            while True:
                market: dict[str, str] = (await http.get(f"/markets/{ready.markets[0]}")).json()["market"]
                if market["status"] != "active":
                    return market
                await trio.sleep(0.1)


def test_a_fast_tape_ends_and_its_market_is_settled(tmp_path: Path) -> None:
    """A hundred seconds are over in one; then the result stands, and reading still works."""
    path = recording(tmp_path / "short.jsonl", 100)
    with served(tmp_path, "--recording", str(path), "--speed", "100", "--result", "no") as paper:
        assert paper.ready.markets == ["KXREC-26DEC01-C"]
        market = trio.run(_settled, paper.ready)
        assert (market["status"], market["result"]) == ("finalized", "no")
        assert paper.end() == 0


@pytest.mark.parametrize(("arguments", "exclusive"), [((), True), (("--independent",), False)])
def test_an_event_has_several_markets(tmp_path: Path, arguments: tuple[str, ...], exclusive: bool) -> None:
    """All are named when it is ready and belong to one event, which says whether they exclude each other."""
    with served(tmp_path, "--event-of", "3", "--profile", "thin", *arguments) as paper:
        assert paper.ready.markets == [f"KXPAPER-DEMO-{letter}" for letter in "ABC"]
        body = httpx.get(f"{paper.ready.rest_url}/events/KXPAPER-DEMO", trust_env=False, timeout=END_S).json()
        assert body["event"]["mutually_exclusive"] is exclusive
        assert {market["ticker"] for market in body["markets"]} == set(paper.ready.markets)
        assert paper.end() == 0


def test_a_recording_has_its_own_ticker(tmp_path: Path) -> None:
    """Another one is refused."""
    ended = run(tmp_path, "paper", "--recording", recording(tmp_path / "short.jsonl", 1), "--market", "KXOTHER-1")
    assert ended.returncode == 2
    assert "the recording is of KXREC-26DEC01-C" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--recording", "nothing.jsonl.gz"), "nothing.jsonl.gz: cannot be read"),
        (("--recording", "a.jsonl", "--profile", "thin"), "give one of them"),
        (("--profile", "hectic"), "hectic"),
        (("--faults", "gremlins"), "gremlins"),
        (("--host", "exchange.example"), "no IP address"),
        (("--host", "203.0.113.7"), "not an address of this machine"),
        (("--market", "no/ticker"), "no ticker"),
        (("--event-of", "2", "--market", "KXA-1"), "leave --recording and --market out"),
        (("--event-of", "11"), "11"),
        (("--independent",), "give --event-of 2 or more"),
        (("--port", "70000"), "70000"),
        (("--speed", "0"), "0"),
        (("--speed", "fast"), "fast"),
        (("--result", "maybe"), "maybe"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    """Exit 2, nothing on stdout, the value and a remedy on stderr, nothing left behind."""
    ended = run(tmp_path, "paper", *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert says in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--port", "--ws-port"])
def test_a_port_that_is_taken(tmp_path: Path, option: str) -> None:
    """Either port is named, and the other one is let go."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for faults in ((), ("--faults", "mild")):
            ended = run(tmp_path, "paper", option, port, *faults)
            assert (ended.returncode, ended.stdout) == (2, "")
            assert f"{option} {port}: in use already" in ended.stderr
            assert ended.stderr.count("\n") == 1


def test_other_machines_are_let_in_only_if_asked(tmp_path: Path) -> None:
    """With a warning, and the address the client can use."""
    with served(tmp_path, "--host", "0.0.0.0") as paper:
        assert paper.ready.rest_url.startswith("http://127.0.0.1:")
        assert paper.end() == 0
    assert paper.err.count(b"\n") == 1
    assert b"warning" in paper.err


async def place_one(ready: Ready) -> str:
    """The id of an order that rests."""
    wall, key = WallClock(system_us()), SigningKey.load(Path(ready.private_key_path))
    async with connect(Access.by_urls(ready.rest_url, ready.ws_url, ready.api_key_id, key), wall) as client:
        answer = await client.place(
            PlaceOrder(
                effect_id="one",
                client_order_id="by-hand",
                ticker=ready.markets[0],
                outcome="yes",
                price_e4=parse_price("0.01"),
                count_e2=parse_count("1"),
                time_in_force="good_till_canceled",
                post_only=True,
                expiration_s=None,
            )
        )
    assert isinstance(answer, Placed)
    return answer.order_id


def test_an_exchange_that_is_started_again_gives_no_id_twice(tmp_path: Path) -> None:
    """Its clients keep their key, and remember the orders and fills of the one before by their ids."""
    key, ids = tmp_path / "kept.pem", []
    for _ in range(2):
        with served(tmp_path, "--key", str(key)) as paper:
            ids.append(trio.run(place_one, paper.ready))
            assert paper.end() == 0
    assert ids[0] != ids[1]


def test_a_key_that_is_kept_opens_the_next_exchange(tmp_path: Path) -> None:
    """`--key` makes the file, owner only, and uses it again under the same id; a file that is no key is refused."""
    key = tmp_path / "kept.pem"
    with served(tmp_path, "--key", str(key)) as first:
        made = key.read_bytes()
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert first.end() == 0
    with served(tmp_path, "--key", str(key)) as second:
        assert second.ready.api_key_id == first.ready.api_key_id
        assert (second.ready.private_key_path, key.read_bytes()) == (str(key), made)
        assert second.end() == 0
    key.write_text("no key", encoding="utf-8")
    refused = run(tmp_path, "paper", "--key", key)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert "is no private key" in refused.stderr
    key.chmod(0o644)
    assert "chmod 600" in run(tmp_path, "paper", "--key", key).stderr
