"""What the daemon keeps beside the executions: submissions under their keys, the exchange they are of, and a halt."""

from __future__ import annotations

import msgspec
import pytest

from fsm_exec.core.errors import SaveRefused, UserError
from fsm_exec.core.journal.rows import ExecutionSave, SubmissionRow
from fsm_exec.store import EMBEDDED
from fsm_exec.store.alert_rows import Quarantine
from fsm_exec.store.reads.api_queries import Filter
from tests.store.conftest import T0_US, OpenStore, Samples


async def test_a_key_is_stored_with_the_first_save_or_not_at_all(open_file_store: OpenStore, samples: Samples) -> None:
    """A second execution under the key is refused as a whole: neither it nor anything of it is there."""
    submission = SubmissionRow("mine", b'{"quantity":"1.00"}')
    first = msgspec.structs.replace(samples.save("e1"), submission=submission)
    async with open_file_store() as store:
        assert await store.load_submission("mine") is None
        await store.save(first)
        with pytest.raises(SaveRefused, match="submissions"):
            await store.save(msgspec.structs.replace(samples.save("e2"), submission=submission))
        assert [e.execution_id for e in await store.load_executions()] == ["e1"]
        assert await store.load_journal("e2") == []
    async with open_file_store() as store:
        found = await store.load_submission("mine")
        assert found is not None
        assert (found.execution_id, found.request) == ("e1", submission.request)
        assert [(e.execution_id, e.key) for e in await store.load_listing(Filter(limit=9))] == [("e1", "mine")]


async def test_a_database_is_of_one_exchange_for_good(open_file_store: OpenStore, samples: Samples) -> None:
    """Its executions are never taken up at another one; what the demo wrote without saying so is the demo's."""
    async with open_file_store() as store:
        await store.save(samples.save("e1"))
        with pytest.raises(UserError, match="give another path"):
            await store.bind("production")
        await store.bind(EMBEDDED)
        with pytest.raises(UserError, match="'embedded', not of 'production'"):
            await store.bind("production")


async def test_an_empty_database_may_be_of_any_exchange(open_file_store: OpenStore) -> None:
    """The first to say so; from then on no other."""
    async with open_file_store() as store:
        await store.bind("demo")
    async with open_file_store() as store:
        await store.bind("demo")
        with pytest.raises(UserError, match="'demo', not of 'production'"):
            await store.bind("production")


async def test_a_halt_outlives_the_process(open_file_store: OpenStore) -> None:
    """Until it is lifted."""
    async with open_file_store() as store:
        assert await store.load_halted_at() is None
        await store.save_halt(T0_US, "asked to")
    async with open_file_store() as store:
        assert await store.load_halted_at() == "2023-04-10T18:00:00.000250Z"
        await store.save_halt(T0_US, None)
        assert await store.load_halted_at() is None


async def test_a_listener_hears_what_is_durable(open_file_store: OpenStore, samples: Samples) -> None:
    """Every step and every quarantine, once it is stored and not if it is refused."""
    heard: list[ExecutionSave | Quarantine] = []
    async with open_file_store() as store:
        store.listen(heard.append)
        first = samples.save("e1")
        await store.save(first)
        with pytest.raises(SaveRefused):
            await store.save(first)
        await store.quarantine("e1", "why", T0_US)
        assert heard == [first, Quarantine("e1", "why", T0_US)]
