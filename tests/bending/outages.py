"""What of an exchange may be down for a minute, in each state of the engine, with whatever may come meanwhile.

    python -m tests.bending.outages            # every cell; the table of fsm_exec/runtime/README.md
    python -m tests.bending.outages --only "cancels/running/halt/503"

A cell is what is down (`calls.DOWN`), the engine's state when it goes down, what falls into it (a halt, a cancel of one
execution, SIGTERM, a deadline), and how it is down (refused at once, or never answered).
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import get_args

from tests.bending.drill import Event, Result, cells, run


def table(results: list[Result]) -> str:
    """A row for everything that may be down: how many requests and frames it cost; seconds from the event until no
    order that the database knew was live, the longest of all states; and until everything had ended, once all was
    back."""
    events = get_args(Event)
    heading = ["down for 60 s", "cost", *events, "all ended, after it"]
    lines = ["| " + " | ".join(heading) + " |", "| --- |" + " ---: |" * (len(heading) - 1)]
    for down in dict.fromkeys(result.cell.down for result in results):
        row = [result for result in results if result.cell.down == down]
        clear = [max((r.clear_s for r in row if r.cell.event == event), default=0) for event in events]
        texts = [f"{sum(r.met for r in row)}", *(f"{s:.1f} s" for s in clear), f"{max(r.ended_s for r in row):.0f} s"]
        lines.append(f"| {down} | " + " | ".join(texts) + " |")
    lines.append(f"\nCancels of all that was known left within {max(r.cancels_s for r in results):.1f} s.")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="outages", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="cells whose name contains this")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--log", action="store_true", help="the engine's log of what failed")
    options = parser.parse_args()
    began = time.monotonic()
    chosen = [cell for cell in cells() if options.only in str(cell)]
    with ProcessPoolExecutor(options.workers) as pool:
        results = list(pool.map(run, chosen))
    wrong = [line for result in results for line in result.wrong]
    sys.stdout.write(f"{table(results)}\n\n{len(results)} cells, {len(wrong)} things wrong\n")
    for result in results:
        sys.stdout.write("".join(f"{line}\n" for line in result.wrong))
        if options.log and result.wrong:
            sys.stdout.write(result.log)
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)  # noqa: T201 - beside the table
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
