"""What a third party's test is made of; held to `mypy --strict` against the wheel."""

from fsm_exec import ExecutionDetail, Family, Settings, Submission
from fsm_exec.testing import PaperDesk, run


async def trial(desk: PaperDesk) -> ExecutionDetail:
    desk.open_market("KXTEST-A", yes=[("0.44", "50")], no=[("0.50", "50")])
    accepted = await desk.daemon.submit(
        Submission(
            key="1",
            ticker="KXTEST-A",
            outcome="yes",
            quantity="10",
            method="market",
            target_price="0.60",
            horizon_s=60,
        )
    )
    return await desk.daemon.wait(accepted.execution_id)


def filled(family: Family[Settings]) -> str:
    return run(trial, families=[family], seed=2).execution.filled_quantity
