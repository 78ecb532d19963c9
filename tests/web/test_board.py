"""A board against a model: whoever is at any version gets to what it shows now."""

from __future__ import annotations

import random

import msgspec
import pytest
from markupsafe import Markup

from fsm_exec.web.live.board import REMOVED_KEPT, Board, Change, Changes, Place, parse_place

SEEDS = 40
STEPS = 120


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_viewer_of_any_version_gets_to_the_newest(seed: int) -> None:
    """Random puts, texts and removals, and viewers that look now and then: each has, after each look, exactly what the
    board shows."""
    rng, board = random.Random(seed), Board()
    shown: dict[str, str] = {}
    viewers: list[tuple[Place, dict[str, str]]] = [(board.place, {})]
    for step in range(STEPS):
        for _ in range(rng.randrange(4)):
            key, text = f"k{rng.randrange(8)}", str(rng.randrange(3))
            if rng.random() < 0.3:
                board.remove(key)
                shown.pop(key, None)
            else:
                board.put(key, Markup(text), into="rows")
                shown[key] = text
        board.publish(step)
        if rng.random() < 0.2:  # a page is made of what the board shows
            viewers.append((board.place, dict(shown)))
        number = rng.randrange(len(viewers))
        place, seen = viewers[number]
        assert board.is_known(place)
        for change in msgspec.json.decode(board.changes_since(place), type=Changes).changes:
            if change.html:
                seen[change.id] = change.html
            else:
                seen.pop(change.id, None)
        assert seen == shown
        viewers[number] = (board.place, seen)


def test_nothing_changed_is_no_version() -> None:
    """The same fragment again is no news, and what was removed and is back unchanged since is put again."""
    board = Board()
    board.put("a", Markup("1"))
    board.publish(0)
    first = board.place
    board.put("a", Markup("1"))
    board.remove("b")
    board.publish(0)
    assert board.place == first
    board.remove("a")
    board.put("a", Markup("1"))
    board.publish(0)
    assert [(change.id, change.html) for change in _since(board, first)] == [("a", "1")]


def test_texts_are_one_for_all_that_show_them() -> None:
    """A text has a class and no id; one that is not there is a dash."""
    board = Board()
    first = board.place
    board.put_text("q1b", "0.40")
    board.publish(5_000)
    assert [(change.slot, change.text, change.id) for change in _since(board, first)] == [("q1b", "0.40", "")]
    assert (board.text("q1b"), board.text("q2b")) == ("0.40", "-")


def test_a_board_of_a_long_day_does_not_grow() -> None:
    """Removed fragments are forgotten beyond a number; who is behind that is not known any more, who is not is."""
    board = Board()
    board.publish(0)
    oldest = board.place
    for number in range(3 * REMOVED_KEPT):
        board.put(f"k{number}", Markup("x"))
        board.publish(0)
        board.remove(f"k{number}")
        board.publish(0)
    newest = board.place
    assert not board.is_known(oldest)
    assert board.is_known(newest)
    assert board.size <= REMOVED_KEPT + 1


@pytest.mark.parametrize("text", ["", "-", "a", "a-", "a-b", "a--1", "a-1.5", "a-\u0661", f"a-{'9' * 40}"])
def test_what_is_no_place_is_none(text: str) -> None:
    """What a viewer names is read strictly."""
    assert parse_place(text) is None
    place = Board().place
    assert parse_place(str(place)) == place


def _since(board: Board, place: Place) -> list[Change]:
    return list(msgspec.json.decode(board.changes_since(place), type=Changes).changes)
