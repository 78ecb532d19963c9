"""What an unfinished execution may still cost: its open quantity at its cap."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fsm_exec.core.execution.advance import apply
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.execution.reservation import open_e2, reserved_e6
from fsm_exec.core.journal.snapshot import decode_entry
from fsm_exec.core.journal.to_rows import save_of
from fsm_exec.core.values.units import CountE2, MoneyE6, ceil_div, format_money
from tests.golden.histories import HISTORIES


@pytest.mark.parametrize("name", HISTORIES)
def test_every_save_carries_what_may_still_be_bought_at_the_cap(name: str) -> None:
    """After each step: target less what filled, at the cap and rounded up; nothing once it has ended."""
    execution: Execution | None = None
    for fact, wishes in HISTORIES[name]().journal:
        event, intents = decode_entry(fact, wishes)
        step = apply(execution, event, intents)
        assert step is not None
        save, execution = save_of(execution, event, step), step.execution
        left = max(0, execution.target_e2 - execution.filled_e2)
        cap = 0 if execution.limits is None else execution.limits.cap_e6
        expected = 0 if execution.is_ended else ceil_div(left * cap, 100)
        assert save.reserved == format_money(MoneyE6(expected))
        assert reserved_e6(execution) == expected
    assert execution is not None
    if execution.limits is not None and not execution.is_ended:
        odd = replace(execution, target_e2=CountE2(execution.filled_e2 + 1))
        assert reserved_e6(odd) * 100 >= execution.limits.cap_e6  # a hundredth of a contract, never rounded down
        assert open_e2(replace(odd, target_e2=CountE2(0))) == 0
