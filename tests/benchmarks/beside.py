"""This tree beside another one, usually an older commit, by the same measures in turns.

    git worktree add --detach ../before COMMIT
    python -m tests.benchmarks.beside --tree ../before --rounds 5 durable --lane live

A measure is a program in `measures/` that prints its figures as JSON: {"figures": {name: value}, "shares": [[part,
whole], ...]}. It is this tree's for both; what it imports (the engine, the load, the floor) is the measured tree's,
with the interpreter of its `.venv` if it has one. What follows its name goes to the measure. The ratios are this
tree's figure over the other's; what a busy machine adds falls on both, and is least in the minima.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

MEASURES = Path(__file__).parent / "measures"
HERE = Path(__file__).parents[2]


class Figures(msgspec.Struct, frozen=True):
    """What a measure printed. `shares`: pairs of figures of which the first over the second means something, too."""

    figures: dict[str, float]
    shares: list[tuple[str, str]] = []


def run_measure(name: str, tree: Path, arguments: Sequence[str]) -> Figures:
    """Run a measure once on the code of `tree`. Raises CalledProcessError if it fails."""
    own = tree / ".venv" / "bin" / "python"
    python = str(own) if own.exists() else sys.executable
    done = subprocess.run(
        # -P: the folder of the measure is no place to import from.
        [python, "-P", str(MEASURES / f"{name}.py"), *arguments],
        env={**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Figures)


def compare(name: str, here: Sequence[Figures], there: Sequence[Figures]) -> list[str]:
    """Return the lines of the table of one measure: the rounds of this tree and of the other."""
    lines = [f"{name}, {len(here)} rounds in turns; this tree, the other, and the ratio of them"]
    for figure in here[0].figures:
        if figure not in there[0].figures:
            continue
        now, before = ([each.figures[figure] for each in rounds] for rounds in (here, there))
        if not all(before):  # a count of what should not be: no ratio
            lines.append(f"  {figure:36} {now} {before}")
            continue
        each = statistics.median(a / b for a, b in zip(now, before, strict=True))
        lines.append(
            f"  {figure:36} median {statistics.median(now):10,.2f} {statistics.median(before):10,.2f} "
            f"{statistics.median(now) / statistics.median(before):5.2f}   least {min(now):10,.2f} "
            f"{min(before):10,.2f} {min(now) / min(before):5.2f}   by pairs {each:5.2f}"
        )
    for part, whole in here[0].shares:
        shares = [
            [a.figures[part] / b.figures[whole] for a, b in zip(floors, works, strict=True)]
            for floors, works in ((here, here), (there, there), (there, here))
        ]
        own, other, across = (statistics.median(each) for each in shares)
        lines.append(
            f"  {part} / {whole}: this tree {own:.2f}, the other {other:.2f}; the other's {part} over this tree's "
            f"{whole} {across:.2f} (medians of the rounds)"
        )
    return lines


@click.command(context_settings={"ignore_unknown_options": True})
@click.option(
    "--tree", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path), help="The other tree."
)
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
@click.argument("measure", type=click.Choice(sorted(path.stem for path in MEASURES.glob("*.py"))))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def main(tree: Path, rounds: int, measure: str, arguments: tuple[str, ...]) -> None:
    """Run MEASURE with its ARGUMENTS on both trees in turns, and print the ratios."""
    if not (tree / "fsm_exec").is_dir():  # what is installed would be measured instead
        raise click.BadParameter(f"{tree} is no tree of this repository", param_hint="--tree")
    here, there = list[Figures](), list[Figures]()
    for turn in range(rounds):
        sides = [(HERE, here), (tree.resolve(), there)]
        for side, figures in sides if turn % 2 == 0 else sides[::-1]:
            try:
                figures.append(run_measure(measure, side, arguments))
            except subprocess.CalledProcessError as error:
                raise click.ClickException(f"{measure} failed on {side}, exit code {error.returncode}") from error
    click.echo("\n".join(compare(measure, here, there)))


if __name__ == "__main__":
    main()
