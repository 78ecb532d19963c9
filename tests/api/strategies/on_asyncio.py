"""Buys up to 40 YES within 20 seconds and says every step of it: on asyncio."""

import asyncio

from fsm_exec import AsyncClient, Submission, Transition

WANTED = Submission(
    key="asyncio", ticker="KXPAPER-DEMO-A", outcome="yes", quantity="40", method="twap", cap="0.60", horizon_s=20
)


async def main() -> None:
    async with AsyncClient() as daemon:
        accepted = await daemon.submit(WANTED)
        async for step in daemon.follow(accepted.execution_id):
            if isinstance(step, Transition):
                print(step.seq, step.event_type, flush=True)
        print((await daemon.show(accepted.execution_id)).execution.state)


asyncio.run(main())
