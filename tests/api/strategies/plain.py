"""Buys up to 40 YES within 20 seconds and says every step of it: in plain Python."""

from fsm_exec import Client, Submission, Transition

WANTED = Submission(
    key="plain", ticker="KXPAPER-DEMO-A", outcome="yes", quantity="40", method="twap", cap="0.60", horizon_s=20
)

with Client() as daemon:
    accepted = daemon.submit(WANTED)
    for step in daemon.follow(accepted.execution_id):
        if isinstance(step, Transition):
            print(step.seq, step.event_type, flush=True)
    print(daemon.show(accepted.execution_id).execution.state)
