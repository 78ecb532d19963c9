"""What a strategy does with what may go wrong; held to `mypy --strict` against the wheel."""

from fsm_exec import (
    AsyncClient,
    Client,
    DaemonAbsent,
    DaemonFailed,
    ExecutionDetail,
    FillSeen,
    QuarantineSeen,
    Refused,
    Step,
    Submission,
    Transition,
)


def fills_of(step: Step) -> list[FillSeen]:
    match step:
        case Transition():
            return step.fills
        case QuarantineSeen():
            return []


def bought(daemon: Client, wanted: Submission) -> ExecutionDetail | str:
    try:
        accepted = daemon.submit(wanted)
    except Refused as refused:
        return refused.code
    except DaemonFailed as failed:
        return failed.code
    except DaemonAbsent as absent:
        return "unknown" if absent.may_be_done else "not asked"
    return daemon.wait(accepted.execution_id)


async def filled(daemon: AsyncClient, execution_id: str) -> int:
    return sum([len(fills_of(step)) async for step in daemon.follow(execution_id)])
