"""`fsm-exec doctor` against a paper exchange: each thing that can be wrong is found and named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fsm_exec.cli.config import TelemetrySettings
from fsm_exec.cli.doctor.account_checks import clock_check
from fsm_exec.cli.doctor.installation import states_check, telemetry_check
from fsm_exec.core.market.client_order_id import client_order_id
from fsm_exec.core.values.units import MoneyE6
from fsm_exec.wire.rest import CreateOrder
from tests.cli.exchange import TICKER, site
from tests.cli.support import run

S = 1_000_000


def verdicts(output: str) -> dict[str, str]:
    document: dict[str, Any] = json.loads(output)
    return {check["name"]: check["verdict"] for check in document["checks"]}


async def test_a_sound_installation(tmp_path: Path) -> None:
    """Everything is looked at, nothing fails, and no secret is shown."""
    async with site(tmp_path) as place:
        code, output, errors = await place.run("doctor", "--config", place.config, "--json")
        assert (code, errors) == (0, "")
        found = verdicts(output)
        names = "states configuration|risk|alerts|key file|exchange|clock|signature|tier|account|permissions|stream"
        assert set(found) == set(names.replace("states ", "states|").split("|"))
        assert {name for name, verdict in found.items() if verdict != "ok"} <= {"permissions"}
        code, text, _ = await place.run("doctor", "--config", place.config)
        assert code == 0
        assert "accepted; tier basic, tokens: read 200/s" in text
        assert "1000.000000 dollars available, 0 positions held" in text
        assert "key.pem: an RSA key, readable by this user alone" in text
    body = "".join((tmp_path / "key.pem").read_text().splitlines()[1:-1])
    assert body not in output + text


async def test_a_key_of_another_subaccount(tmp_path: Path) -> None:
    """A key that is restricted to one says which has to be written; with its number all is well."""
    async with site(tmp_path) as place:
        numbered = place.exchange.open_subaccount(place.account, MoneyE6(1_000_000))
        credentials = place.gate.create_key(numbered)
        credentials.write_private_key(tmp_path / "numbered.pem")
        key = {"api_key_id": credentials.api_key_id, "private_key_path": "numbered.pem"}
        place.write_config(**key)
        code, output, _ = await place.run("doctor", "--config", place.config, "--json")
        assert code == 1
        assert verdicts(output)["permissions"] == "fail"
        assert "write subaccount = 1 in the configuration" in output
        place.write_config(**key, subaccount=1)
        code, output, _ = await place.run("doctor", "--config", place.config, "--json")
        assert code == 0
        assert verdicts(output)["permissions"] == "ok"


async def test_when_the_advanced_tier_is_to_be_had(tmp_path: Path) -> None:
    """Once an order of ours is among the last hundred; not asked for unasked, and not offered to who has it."""

    async def tier() -> str:
        code, output, _ = await place.run("doctor", "--config", place.config, "--json")
        assert code == 0
        return next(str(check["text"]) for check in json.loads(output)["checks"] if check["name"] == "tier")

    def order(name: str) -> None:
        place.exchange.create_order(
            place.account,
            CreateOrder(
                ticker=TICKER,
                side="bid",
                price="0.01",
                count="1",
                client_order_id=name,
                time_in_force="good_till_canceled",
                self_trade_prevention_type="taker_at_cross",
            ),
        )

    async with site(tmp_path) as place:
        order("by-hand")
        said = await tier()
        assert said.startswith("basic; POST /account/api_usage_level/upgrade grants advanced for good and free")
        assert said.endswith(
            "triples what may be written (100 to 300 tokens a second), once one of your last 100 orders came by the API"
        )
        order(client_order_id("a" * 10, "e000001", 1, 1))
        assert (await tier()).endswith(", now: one of your last 100 orders came by the API")
        assert not place.gate.rate_limiter.is_upgraded(place.account)
        for number in range(100):
            order(f"by-hand-{number}")
        assert "once one of your last" in await tier()
        place.gate.rate_limiter.upgrade(place.account)
        assert await tier() == "advanced: above the lowest, the next ones are earned by volume"


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        ({"api_key_id": "00000000-0000-4000-8000-000000000000"}, "signature"),
        ({"rest_url": "http://127.0.0.1:9/trade-api/v2"}, "exchange"),
        ({"ws_url": "ws://127.0.0.1:9/trade-api/ws/v2"}, "stream"),
        ({"private_key_path": "another.pem"}, "key file"),
        ({"environment": "live"}, "configuration"),
        ({"colour": "red"}, "configuration"),
    ],
)
async def test_what_is_wrong_is_named(tmp_path: Path, change: dict[str, object], failed: str) -> None:
    """Exit 1, and the check that failed is the one that is wrong; what hangs on it is not called good."""
    async with site(tmp_path) as place:
        place.write_config(**change)
        code, output, _ = await place.run("doctor", "--config", place.config, "--json")
        found = verdicts(output)
        assert code == 1
        assert [name for name, verdict in found.items() if verdict == "fail"] == [failed]
        assert list(found)[-1] == failed


def test_a_key_that_others_can_read(tmp_path: Path) -> None:
    """The remedy is in the line; the exchange is not asked."""
    key = tmp_path / "key.pem"
    key.write_text("-----BEGIN PRIVATE KEY-----\n")
    key.chmod(0o644)
    config = tmp_path / "config.toml"
    config.write_text('environment = "demo"\napi_key_id = "k"\nprivate_key_path = "key.pem"\n')
    done = run(tmp_path, "doctor", "--config", config)
    assert done.returncode == 1
    assert f"chmod 600 {key}" in done.stdout
    assert "exchange" not in done.stdout.split("key file")[1]


def test_without_a_configuration_nothing_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo needs none: exit 0, and a line that says where one would be found. One that is named must be there."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("FSM_EXEC_CONFIG", raising=False)
    done = run(tmp_path, "doctor", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert verdicts(done.stdout) == {"states": "ok", "configuration": "warn"}
    assert str(tmp_path / "fsm-exec" / "config.toml") in done.stdout
    named = run(tmp_path, "doctor", "--config", "none.toml", "--json")
    assert (named.returncode, verdicts(named.stdout)["configuration"]) == (1, "fail")
    monkeypatch.setenv("FSM_EXEC_CONFIG", "none.toml")
    named = run(tmp_path, "doctor", "--json")
    assert (named.returncode, verdicts(named.stdout)["configuration"]) == (1, "fail")


def test_where_spans_go_is_said(tmp_path: Path) -> None:
    """A collector that cannot be opened is named, with what to do."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="comes with the extra `otel`")
    good = telemetry_check(TelemetrySettings(endpoint="http://127.0.0.1:4318"), tmp_path)
    assert (good.verdict, good.text) == ("ok", "a span of each execution is sent to http://127.0.0.1:4318")
    bad = telemetry_check(TelemetrySettings(endpoint="127.0.0.1:4318"), tmp_path)
    assert (bad.verdict, "give one like" in bad.text) == ("fail", True)


def test_a_strangers_states_are_found(tmp_path: Path) -> None:
    """The tables must lie beside the engine's own package."""
    package = tmp_path / "site" / "fsm_exec" / "__init__.py"
    assert states_check(tmp_path / "site" / "states" / "__init__.py", package).verdict == "ok"
    strange = states_check(tmp_path / "here" / "states" / "__init__.py", package)
    assert strange.verdict == "fail"
    assert "remove the other package" in strange.text


@pytest.mark.parametrize(
    ("ahead_us", "verdict"),
    [
        (0, "ok"),
        (900_000, "ok"),
        (-900_000, "ok"),
        (2 * S, "warn"),
        (-2 * S, "warn"),
        (5 * S, "warn"),
        (7 * S, "fail"),
        (-7 * S, "fail"),
    ],
)
def test_clocks_are_compared_as_exactly_as_a_second_allows(ahead_us: int, verdict: str) -> None:
    """The exchange tells whole seconds: only what is certainly beyond the limit fails."""
    true_us = 1_790_856_000 * S + 500_000
    ours_us = true_us + ahead_us
    assert clock_check(ours_us, ours_us + 20_000, true_us // S * S, 5_000).verdict == verdict
