"""What the log tells of trouble that goes on."""

from __future__ import annotations

from fsm_exec.core.trouble import WORDS_MAX, Trouble


class Lines:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.all: list[tuple[str, dict[str, object]]] = []

    def info(self, event: str, **values: object) -> None:
        self.all.append((event, values))

    warning = info


def test_it_is_told_ever_more_rarely_and_at_its_end() -> None:
    """A thousand times are eleven lines with their counts, and one for the end; the next time it is new again."""
    lines = Lines()
    trouble = Trouble(lines, "not_read")
    for _ in range(1_000):
        trouble.record("down", what="orders")
    assert lines.all[0] == ("not_read", {"error": "down", "what": "orders"})
    assert [values["times"] for _, values in lines.all[1:]] == [2, 4, 8, 16, 32, 64, 128, 256, 512]
    lines.all.clear()
    trouble.end()
    trouble.end()
    assert lines.all == [("trouble_over", {"what": "not_read", "times": 1_000})]
    lines.all.clear()
    trouble.record("down")
    trouble.end()
    assert lines.all == [("not_read", {"error": "down"})], "once is over as it is told"


def test_new_words_are_told_at_once() -> None:
    """Of another reason nobody should hear late; one whose words are never the same twice is held to the rule."""
    lines = Lines()
    trouble = Trouble(lines, "not_read", "why")
    for number in range(300):
        trouble.record("down" if number < 100 else "key refused" if number < 200 else f"number {number}")
    told = [values["why"] for _, values in lines.all]
    assert told[:9] == ["down"] * 7 + ["key refused", "key refused"]
    assert len([words for words in told if str(words).startswith("number")]) == WORDS_MAX - 2 + 1
