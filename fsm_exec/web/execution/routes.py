"""The addresses of one execution's page, of any row of its journal, and of the list of all executions."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import Final
from urllib.parse import urlencode

import msgspec
import trio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.values.short_text import trim_dollars
from fsm_exec.core.values.units import Outcome
from fsm_exec.recordings.kept import tapes_directory
from fsm_exec.store.archive.archived_lists import load_listing
from fsm_exec.store.reads.api_queries import Filter
from fsm_exec.store.reads.execution_history import StoredBook
from fsm_exec.web.execution.fragments import fragments
from fsm_exec.web.execution.looking import HISTORIES_KEPT, Looked, Looking
from fsm_exec.web.execution.ticker import ExecutionTicker, show
from fsm_exec.web.live.board import Board
from fsm_exec.web.live.tickers import Ticker
from fsm_exec.web.parts import PageParts
from states import TABLES

LISTED: Final = 100
DIGITS_MAX: Final = 12
TICKER_CHARACTERS_MAX: Final = 80


class RowAnswer(msgspec.Struct, frozen=True):
    """The page at one row: what is to stand in the place of each element."""

    seq: int
    rows: int
    changes: list[RowChange]


class RowChange(msgspec.Struct, frozen=True):
    """One element: its id and what it becomes."""

    id: str
    html: str


class ExecutionPages:
    """The pages of the executions of one database."""

    def __init__(self, parts: PageParts) -> None:
        self._parts = parts
        live_book, tapes = self._live_book if parts.control else None, tapes_directory(parts.database)
        self._looking = Looking(parts.reader, parts.wall.now_us, live_book, tapes)
        self._boards: OrderedDict[str, Board] = OrderedDict()
        self._at_work: set[str] = set()

    async def show(self, request: Request) -> Response:
        """Answer with the page, at the row `at` if one is named."""
        execution_id = request.path_params["execution_id"]
        seq = _row(request.query_params.get("at", ""))
        looked = await self._look(execution_id, seq)
        board = await self._board(execution_id, looked if seq is None else None)
        events = f"/executions/{execution_id}/events" if self._parts.control is not None else ""
        return self._parts.respond(
            request,
            "execution.html",
            head=looked.header,
            detail=looked.detail,
            row=looked.row,
            journal=looked.journal,
            picture=looked.picture,
            events=events,
            place=str(board.place),
            now_ms=self._parts.wall.now_us() // 1_000,
        )

    async def show_row(self, request: Request) -> Response:
        """Answer with all that changes when another row is looked at; a row after the last one is the last."""
        looked = await self._look(request.path_params["execution_id"], _row(request.path_params["seq"]) or None)
        if looked.row is None:
            raise HTTPException(404)
        made = await trio.to_thread.run_sync(lambda: list(fragments(self._parts.templates, looked)))
        changes = [RowChange(name, str(html)) for name, html in made]
        answer = RowAnswer(looked.row.seq, looked.row.rows, changes)
        return Response(msgspec.json.encode(answer), media_type="application/json")

    async def stream(self, request: Request) -> Response:
        """Answer with the events of a running engine's execution."""
        parts, execution_id = self._parts, request.path_params["execution_id"]
        control = parts.control
        if control is None:
            raise HTTPException(404)
        await self._look(execution_id, None)
        board = await self._board(execution_id, None)

        def make() -> Ticker:
            return ExecutionTicker(
                control, self._looking, parts.templates, parts.wall, execution_id, board, self._at_work
            )

        return parts.stream(request, f"execution {execution_id}", make)

    async def show_list(self, request: Request) -> Response:
        """Answer with the executions, newest first, those of a state or a market only if one is named."""
        asked = request.query_params
        state, ticker = asked.get("state", ""), asked.get("ticker", "").strip()[:TICKER_CHARACTERS_MAX]
        before = asked.get("before", "")
        states = TABLES["execution"].states
        wanted = Filter(
            state=state if state in states else None, ticker=ticker or None, before=before or None, limit=LISTED + 1
        )
        load = partial(load_listing, database=self._parts.database, wanted=wanted, damage=[])
        found = await self._parts.reader.read(load)
        shown = found[:LISTED]
        query = {"state": state, "ticker": ticker, "before": shown[-1].execution_id} if len(found) > LISTED else {}
        return self._parts.respond(
            request,
            "executions.html",
            lines=shown,
            states=states,
            state=state,
            ticker=ticker,
            before=before,
            trim_dollars=trim_dollars,
            next_query=urlencode({name: value for name, value in query.items() if value}),
        )

    async def _look(self, execution_id: str, seq: int | None) -> Looked:
        looked = await self._looking.look(execution_id, seq)
        if looked is None:
            raise HTTPException(404)
        control = self._parts.control
        # What is known: a page does not wait for the exchange. Who goes on watching is told by the board.
        return looked if control is None else looked.with_places(control.queue.known(looked.detail.execution.ticker))

    async def _board(self, execution_id: str, looked: Looked | None) -> Board:
        """Return the board of an execution, which outlives its viewers for a while: a page that was made of it and
        begins to watch a moment later finds it again."""
        board = self._boards.get(execution_id)
        if board is None:
            board = self._boards[execution_id] = Board()
        self._boards.move_to_end(execution_id)
        while len(self._boards) > HISTORIES_KEPT:
            self._boards.popitem(last=False)
        if looked is not None:
            await trio.to_thread.run_sync(show, board, self._parts.templates, looked)
            board.publish(self._parts.wall.now_us())
        return board

    def _live_book(self, terms: MarketTerms, outcome: Outcome) -> StoredBook | None:
        """Return the book as the engine has it now; None: it follows that market no more, or is not sure of it."""
        control = self._parts.control
        feed = None if control is None else control.engine.feeds.get(terms.ticker)
        if feed is None:
            return None
        view = feed.view(outcome)
        return StoredBook(view.at_us, view.bids, view.asks) if view.feed == "live" else None


def routes(parts: PageParts) -> list[Route]:
    """Return the routes of the executions."""
    pages = ExecutionPages(parts)
    one = "/executions/{execution_id}"
    return [
        Route("/executions", pages.show_list, methods=["GET"]),
        Route(one, pages.show, methods=["GET"]),
        Route(one + "/at/{seq}", pages.show_row, methods=["GET"]),
        Route(one + "/events", pages.stream, methods=["GET"]),
    ]


def _row(text: str) -> int | None:
    """The row that is asked for; None: the newest. Raises HTTPException for what is no number."""
    if text in ("", "last"):
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX):
        raise HTTPException(404)
    return int(text)
