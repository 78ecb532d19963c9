"""What the lab needs of a moment of an execution: its history, and the market from before it on, without ourselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fsm_exec.core.errors import UserError
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.replay import ReplayedRow, replay_rows
from fsm_exec.core.market.book import Book
from fsm_exec.core.values.units import US_PER_S, format_fixed
from fsm_exec.lab.experiment.episodes import TAIL_US
from fsm_exec.lab.fork.kept_market import KeptMarket, load_kept_market
from fsm_exec.lab.fork.latencies import measure_latencies
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Tape
from fsm_exec.paper.timing.latency import Latency
from fsm_exec.recordings.kept import tapes_directory
from fsm_exec.store.archive.archive_reads import open_where
from fsm_exec.store.reads.execution_history import load_history


class ForkedMarket(NamedTuple):
    """`history` is the execution's whole journal; `tape` runs on the exchange's time as the engine's clock has it, and
    begins with a whole book. `notes`: what is known to be missing, a line each."""

    history: Sequence[ReplayedRow]
    tape: Tape
    latency: Latency
    notes: Sequence[str]

    @property
    def execution(self) -> Execution:
        """The execution as it ended."""
        return self.history[-1].advance.execution

    def book_at(self, at_us: int) -> Book:
        """The market's book, as the engine saw it then or would have."""
        assert isinstance(self.latency.feed_us, int)
        book = Book()
        for event_us, change in self.tape.events:
            if event_us + self.latency.feed_us > at_us:
                break
            match change:
                case BookSnapshot():
                    book = Book(change.yes, change.no)
                case BookDelta():
                    book.change(change.outcome, change.price_e4, change.delta_e2)
                case _:
                    pass
        return book


def load_forked_market(database: Path, execution_id: str, tapes: Path | None = None) -> ForkedMarket:
    """Load an execution that has ended, and the tape kept of its market in `tapes` (None: beside the database). Raises
    UserError for one that is not there, has not ended, or whose tape was not kept, and CorruptSnapshot for a journal
    that cannot be folded."""
    with open_where(database, execution_id) as connection:
        found = load_history(connection, execution_id)
        history = list(replay_rows(found.journal))
        if not history:
            raise UserError(f"execution {execution_id} has no journal; see: fsm-exec db check")
        execution = history[-1].advance.execution
        if not execution.is_ended:
            raise UserError(f"execution {execution_id} has not ended; ask again when it has")
        if execution.limits is None:
            raise UserError(f"execution {execution_id} was accepted without a book and did nothing; choose another")
        until_us = max(execution.deadline_us, execution.ended_at_us or 0) + TAIL_US
        kept = load_kept_market(connection, tapes or tapes_directory(database), history, until_us)
    latency = measure_latencies(kept.frames.changes, history)
    assert isinstance(latency.feed_us, int)
    shifted = tuple((at_us - latency.feed_us, change) for at_us, change in kept.tape.events)
    return ForkedMarket(history, Tape(kept.tape.header, shifted), latency, _notes(kept, execution))


def _notes(kept: KeptMarket, execution: Execution) -> list[str]:
    changes = kept.frames.changes
    accepted_us = execution.accepted_at_us
    notes = [
        f"frames are missing from {_seconds(start - accepted_us)} to {_seconds(end - accepted_us)} s"
        for start, end in kept.frames.gaps
    ]
    before_us, last_us = accepted_us - changes[0].at_us, changes[-1].at_us
    if before_us < 120 * US_PER_S:
        notes.append(f"the tape begins {_seconds(before_us)} s before the acceptance: signals may not be as warm")
    if last_us < execution.deadline_us:
        short = _seconds(execution.deadline_us - last_us)
        notes.append(f"the tape ends {short} s before the deadline: from then on its book stands")
    ended_us = execution.ended_at_us or execution.deadline_us
    there = [name for name in kept.doings.worked_between(accepted_us, ended_us) if name != execution.execution_id]
    if there:
        notes.append(
            f"{', '.join(there)} worked here meanwhile: what they did stays as it was, and in the lab nobody steps out "
            "of their way"
        )
    marked = {each.by for each in changes}
    placed = [child for child in execution.children if child.order_id is not None]
    unseen = [child for child in placed if child.client_order_id not in marked]
    if any(child.post_only for child in unseen):
        notes.append(f"{len(unseen)} of its orders are not named in the tape and are still in its book")
    return notes


def _seconds(us: int) -> str:
    return format_fixed(us, 6)[:-3]
