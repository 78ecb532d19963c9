"""`fsm-exec forecasts`: the verdict over what a database holds."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from fsm_exec.cli.database.forecasts import forecasts
from fsm_exec.core.errors import UserError
from fsm_exec.core.signals.forecasts import Forecast
from fsm_exec.store import open_live_store

T0_US = 1_700_000_000_000_000


async def test_each_kind_is_judged_against_the_last_value(tmp_path: Path) -> None:
    """What was missed is not counted; a kind without any is not there."""
    path = tmp_path / "engine.sqlite"
    async with open_live_store(path, draw_instance=lambda: "abcdefghij", at_us=T0_US) as store:
        for value, last in ((510_000, 500_000), (490_000, 500_000), (1, 2)):
            made = Forecast(
                kind="mid_30s", outcome="yes", made_at_us=T0_US, due_at_us=T0_US + 1, value_e6=value, last_value_e6=last
            )
            await store.save_forecasts("e1", "KXTEST-1", [made])
        numbers = [waiting.number for waiting in await store.load_open_forecasts(T0_US + 1)]
        await store.complete_forecasts([(numbers[0], 512_000), (numbers[1], 500_000), (numbers[2], None)], T0_US + 2)
        assert await store.load_open_forecasts(None) == []
    told = json.loads(CliRunner().invoke(forecasts, ["--db", str(path), "--json"]).output)
    assert told == {
        "forecasts": [
            {
                "kind": "mid_30s",
                "number": 2,
                "loss": "0.003000",
                "last_value_loss": "0.003000",
                "beats_last_value": False,
            }
        ]
    }
    table = CliRunner().invoke(forecasts, ["--db", str(path)]).output
    assert "mid_30s" in table
    assert "no" in table


def test_no_database_is_said(tmp_path: Path) -> None:
    """In one line."""
    result = CliRunner().invoke(forecasts, ["--db", str(tmp_path / "none")])
    assert isinstance(result.exception, UserError)
