"""What `close` says of what it set to work."""

from __future__ import annotations

from fsm_exec.cli.daemon.close import describe
from fsm_exec.control.account_schema import ClosedMarket
from fsm_exec.control.schema import Accepted


def test_both_prices_are_shown() -> None:
    """What is received for what is held leads; what is paid for the other outcome stands beside it."""
    accepted = Accepted(execution_id="e000007", key="k", is_new=True, limit="0.5700", cap="0.587157")
    market = ClosedMarket(
        ticker="KXA-1",
        held="yes",
        outcome="no",
        quantity="8.00",
        limit="0.4300",
        after_fee="0.412843",
        accepted=accepted,
    )
    assert describe(market) == (
        "e000007 accepted, key k: closes KXA-1, up to 8 YES at 0.43 or more, 0.412843 after fees "
        "(buys NO at 0.57 or less, 0.587157 with fees)"
    )
    assert describe(ClosedMarket(ticker="KXA-1", refusal="nothing is held")) == "KXA-1: nothing is held"
