"""The page of an execution over a database without an engine."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
import trio

from fsm_exec.core.execution.execution import CHILD_LIVE, Execution
from fsm_exec.core.journal.replay import replay_rows
from fsm_exec.core.values.units import format_count
from fsm_exec.store.reads.execution_reads import load_journal
from tests.store.histories import fill
from tests.web.execution_pages import pages_of, read, text_of

EVIL = '<script>alert("1")</script>\u202e\x1b[31m'


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every golden history: filled, cancelled, at work, restored, without a book."""
    path = tmp_path_factory.mktemp("pages") / "engine.db"
    fill(path)
    return path


def change(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(statement, values)
        connection.commit()


def executions_by_row(path: Path) -> dict[str, list[Execution]]:
    with closing(sqlite3.connect(path)) as connection:
        ids = [one for (one,) in connection.execute("SELECT execution_id FROM execution_state")]
        return {one: [row.advance.execution for row in replay_rows(load_journal(connection, one))] for one in ids}


async def test_every_row_shows_what_was_then(database: Path) -> None:
    """At each row of each history the page, by its link and as the slider asks for it, shows the state, the live
    orders, what is filled and the snapshot of the fold."""
    async with pages_of(database) as browser:
        for execution_id, by_row in executions_by_row(database).items():
            for seq, execution in enumerate(by_row, 1):
                answer = await browser.get(f"/executions/{execution_id}/at/{seq}")
                assert answer.status_code == 200
                found = answer.json()
                assert (found["seq"], found["rows"]) == (seq, len(by_row))
                parts = {one["id"]: one["html"] for one in found["changes"]}
                shown = text_of(parts["x-snapshot"], "x-snapshot").split(" gives it ", 1)[1]
                assert json.loads(shown) == snapshot_of(execution)
                live = sum(child.state in CHILD_LIVE for child in execution.children)
                assert (f"{live} live" if live else "none live") in text_of(parts["x-orders"], "x-orders")
                filled = format_count(execution.filled_e2).removesuffix(".00")
                assert f"{filled} of " in text_of(parts["x-fills"], "x-fills")
                assert f"{execution.state} after row {seq}" in text_of(parts["x-machine"], "x-machine")
                assert 'class="state' in parts["x-machine"]
                for child in execution.children:
                    assert f"\u2192 {child.state}" in parts["x-orders"] or child.state == "intended"
            page = await browser.get(f"/executions/{execution_id}?at={len(by_row) // 2 or 1}")
            assert f"Row {len(by_row) // 2 or 1} of {len(by_row)}" in text_of(page.text, "x-row")


def snapshot_of(execution: Execution) -> object:
    return json.loads(msgspec.json.encode(execution))


async def test_a_page_is_whole_without_a_script(database: Path) -> None:
    """Every element is closed, every id is there once, the slider is a form, and each neighbour row is a link."""
    async with pages_of(database) as browser:
        for execution_id, by_row in executions_by_row(database).items():
            page = (await browser.get(f"/executions/{execution_id}?at=1")).text
            reader = read(page)
            assert reader.open == [], "something is left open"
            assert "<script>" not in page
            assert " style=" not in page
            assert f'action="/executions/{execution_id}"' in page
            assert f'href="?at={min(2, len(by_row))}"' in page
            for name in ("x-head", "x-row", "x-machine", "x-picture", "x-orders", "x-fills", "x-costs", "x-journal"):
                assert page.count(f'id="{name}"') == 1


async def test_a_row_that_is_not_there(database: Path) -> None:
    """A row beyond the last one is the last, what is no number and an unknown execution are no pages."""
    async with pages_of(database) as browser:
        assert "Row 1 of" in text_of((await browser.get("/executions/e1?at=0")).text, "x-row")
        last = (await browser.get("/executions/e1/at/999999")).json()
        assert last["seq"] == last["rows"]
        for at in ("?at=x", "?at=-1", "/at/1e3", "?at=" + "9" * 50):
            assert (await browser.get(f"/executions/e1{at}")).status_code == 404
        for path in ("/executions/nobody", "/executions/nobody/at/1", "/executions/e1/events", "/executions/e1%00"):
            assert (await browser.get(path)).status_code == 404


async def test_what_others_wrote_is_text(tmp_path: Path) -> None:
    """A ticker, a key, a reason of a quarantine, a refusal and an error in the journal that hold markup and control
    characters are shown as text on the page and in the list."""
    path = tmp_path / "engine.db"
    await trio.to_thread.run_sync(
        fill,
        path,
        (
            "walking",
            "restored",
        ),
    )
    for column in ("quarantine", "refusal", "note", "method", "ticker"):
        change(path, f"UPDATE execution_state SET {column} = ?", EVIL)
    change(path, "INSERT INTO submissions (key, execution_id, request, submitted_at) VALUES (?, 'e1', '{}', '')", EVIL)
    quoted = json.dumps(EVIL)[1:-1]
    change(path, 'UPDATE execution_events SET event = replace(event, \'"ticker":"\', \'"ticker":"\' || ?)', quoted)
    change(path, 'UPDATE execution_events SET event = replace(event, \'"why":"\', \'"why":"\' || ?)', quoted)
    async with pages_of(path) as browser:
        for address in ("/executions/e1", "/executions/e2", "/executions/e2?at=2", "/executions"):
            page = (await browser.get(address)).text
            assert "<script>alert" not in page
            assert "\x1b" not in page
            assert "\u202e" not in page
            assert "alert(" in page, "it is shown, as text"
        row = (await browser.get("/executions/e1/at/1")).json()
        assert all("<script>alert" not in one["html"] for one in row["changes"])


async def test_a_quarantined_execution_says_so(tmp_path: Path) -> None:
    """The reason of the quarantine is a line at the top; all that can be read is shown."""
    path = tmp_path / "engine.db"
    await trio.to_thread.run_sync(fill, path, ("walking",))
    change(path, "UPDATE execution_state SET quarantine = 'its journal disagrees'")
    async with pages_of(path) as browser:
        page = (await browser.get("/executions/e1")).text
        assert "Quarantined, nothing is done for it: its journal disagrees" in text_of(page, "x-head")
        assert "quarantined" in (await browser.get("/executions")).text
        assert page.count("diagram-execution-title") == 2


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE execution_events SET event = '{' WHERE seq = 3",
        "DELETE FROM execution_events WHERE seq = 3",
        "UPDATE execution_events SET at = 'yesterday' WHERE seq = 3",
    ],
)
async def test_a_damaged_journal_is_shown_up_to_the_damage(tmp_path: Path, harm: str) -> None:
    """What comes before a row that cannot be read is shown, and one line says what is wrong and what to do."""
    path = tmp_path / "engine.db"
    await trio.to_thread.run_sync(fill, path, ("walking",))
    change(path, harm)
    async with pages_of(path) as browser:
        page = (await browser.get("/executions/e1")).text
        head = text_of(page, "x-head")
        assert "The journal cannot be read on, its journal is shown up to there" in head
        assert "fsm-exec db check" in head
        assert "Row 2 of 2" in text_of(page, "x-row")


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE execution_events SET event = '{' WHERE seq = 1",
        "DELETE FROM execution_events",
        "UPDATE execution_state SET snapshot = '{'",
        "UPDATE split_orders SET filled_quantity = 'many'",
    ],
)
async def test_where_nothing_of_the_journal_can_be_read_the_tables_are_shown(tmp_path: Path, harm: str) -> None:
    """Without a journal, or with a damaged snapshot or order, the page is there and says what it can."""
    path = tmp_path / "engine.db"
    await trio.to_thread.run_sync(fill, path, ("walking",))
    change(path, harm)
    async with pages_of(path) as browser:
        answer = await browser.get("/executions/e1")
        assert answer.status_code == 200
        assert "Buy " in text_of(answer.text, "x-head")
        if "execution_events" in harm:
            assert "What its tables say" in answer.text
            assert (await browser.get("/executions/e1/at/1")).status_code == 404


async def test_a_file_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    """A database put in the place of another one, or a whole one in that of a damaged one: nothing of what was read of
    the first is shown of the second."""
    path, other, damaged = tmp_path / "engine.db", tmp_path / "other.db", tmp_path / "damaged.db"
    await trio.to_thread.run_sync(fill, path, ("walking",))
    await trio.to_thread.run_sync(fill, other, ("filled",))
    await trio.to_thread.run_sync(fill, damaged, ("walking",))
    change(damaged, "UPDATE execution_events SET event = '{' WHERE seq = 1")
    (wanted,) = executions_by_row(other).values()
    async with pages_of(path) as browser:
        assert (await browser.get("/executions/e1")).status_code == 200
        damaged.replace(path)
        assert "What its tables say" in (await browser.get("/executions/e1")).text
        other.replace(path)
        page = (await browser.get("/executions/e1")).text
        assert f"Row {len(wanted)} of {len(wanted)}" in text_of(page, "x-row")
        assert json.loads(text_of(page, "x-snapshot").split(" gives it ", 1)[1]) == snapshot_of(wanted[-1])


@pytest.mark.parametrize("column", ["average_fill_price", "fees", "shortfall"])
async def test_a_damaged_figure_takes_the_desk_from_nobody(tmp_path: Path, column: str) -> None:
    """What an execution cost is a dash if its row holds no number; the rest is there."""
    path = tmp_path / "engine.db"
    await trio.to_thread.run_sync(fill, path, ("filled",))
    change(path, f"UPDATE execution_metrics SET {column} = 'many'")
    async with pages_of(path) as browser:
        answer = await browser.get("/")
        assert (answer.status_code, "many" in answer.text, "e1" in answer.text) == (200, False, True)


async def test_the_list_is_paged_and_filtered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Newest first, so many at a time, by state and by market; every line leads to its page."""
    monkeypatch.setattr("fsm_exec.web.execution.routes.LISTED", 2)
    path = tmp_path / "engine.db"
    await trio.to_thread.run_sync(
        fill,
        path,
        (
            "walking",
            "restored",
            "no_book",
            "walking",
            "walking",
        ),
    )
    change(path, "UPDATE execution_state SET ticker = 'OTHER' WHERE execution_id = 'e2'")
    async with pages_of(path) as browser:
        seen: list[str] = []
        address = "/executions"
        for _ in range(5):
            page = (await browser.get(address)).text
            found = [one for one in ("e1", "e2", "e3", "e4", "e5") if f'href="/executions/{one}"' in page]
            assert len(found) <= 2
            seen += sorted(found, reverse=True)
            older = page.split('href="/executions?', 1)
            if len(older) == 1:
                break
            address = "/executions?" + older[1].split('"', 1)[0].replace("&amp;", "&")
        assert seen == ["e5", "e4", "e3", "e2", "e1"]
        only = (await browser.get("/executions", params={"state": "cancelled"})).text
        assert 'href="/executions/e3"' in only
        assert 'href="/executions/e1"' not in only
        market = (await browser.get("/executions", params={"ticker": "OTHER"})).text
        assert 'href="/executions/e2"' in market
        assert 'href="/executions/e1"' not in market
        assert "None of that kind" in (await browser.get("/executions", params={"ticker": "NONE"})).text
