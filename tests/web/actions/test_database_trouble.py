"""An emergency stop depends on nothing that may be down, and a database that failed is seen at once."""

from __future__ import annotations

import pytest
import trio

from fsm_exec.core.errors import LocalError, StoreFailed
from tests.store.test_failures import log_bytes, no_file_may_grow_beyond
from tests.web.actions.test_routes import act
from tests.web.conftest import PageOfDesk


async def test_a_halt_is_confirmed_and_done_while_the_database_hangs(page: PageOfDesk) -> None:
    """The store's reads hang as on a disk that does not answer: the confirmation comes, and the engine halts."""
    goes_on = trio.Event()

    async def hang() -> None:
        await goes_on.wait()

    async with page.browser() as browser, trio.open_nursery() as nursery:
        writer = page.desk.store._writer
        whole = writer.read

        async def read(function: object) -> object:
            await hang()
            return await whole(function)  # type: ignore[arg-type]

        writer.read = read  # type: ignore[method-assign,assignment]
        with trio.fail_after(5):
            shown = await act(browser, "/actions/halt/review")
        assert (shown.status_code, "Halt everything?" in shown.text) == (200, True)
        nursery.start_soon(act, browser, "/actions/halt")
        with trio.fail_after(5):
            while page.desk.engine.state != "halted":  # noqa: ASYNC110 - nobody announces it
                await trio.sleep(0.01)
        goes_on.set()


async def test_a_save_that_fails_halts_the_engine_whoevers_it_was(page: PageOfDesk) -> None:
    """On a full disk a person's halt cannot be stored: the engine has failed, says so, and cannot be resumed."""
    desk = page.desk
    with no_file_may_grow_beyond(log_bytes(page.parts.database)):
        with pytest.raises(StoreFailed):
            await desk.control.halt()
        with trio.fail_after(1):
            await desk.engine.failed.wait()
    assert isinstance(desk.engine.failure, StoreFailed)
    assert not desk.control.health().ok
    with pytest.raises(LocalError, match="only started again"):
        await desk.control.resume()
    assert desk.engine.state == "halted"
