"""`fsm-exec fleet`: several daemons in one table, one for each key and subaccount that is worked. It looks and never
acts.

The daemons are those that this user runs on this host, those of `[fleet]` in the configuration, and the addresses that
are given. All are asked at once; one that does not answer is a row, and hides nothing of the others. What is
wrong with one is said below the table.

Exit codes: 0 all answered, 1 one did not, 2 wrong usage or no daemon is known.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import click
import msgspec
import trio

from fsm_exec.cli.config import find_absent_config, load_config
from fsm_exec.cli.exit_codes import EXIT_FAILED
from fsm_exec.cli.output import say, say_json
from fsm_exec.cli.tables.columns import Column, figures, names, print_table, words
from fsm_exec.control.client import AsyncClient
from fsm_exec.control.daemon_registry import load_running_daemons
from fsm_exec.control.discovery import parse_url
from fsm_exec.control.schema import Status
from fsm_exec.core.errors import ExecError, UserError
from fsm_exec.core.text import one_line

WITHIN_S: Final = 10
WITHIN_MAX_S: Final = 600
ADDRESS_RANK: Final = 1  # in a narrow terminal the addresses go first, then the exchanges
EXCHANGE_RANK: Final = 2


class Member(NamedTuple):
    """A daemon of the fleet. `token_file` None: the one the daemon says, or this user's."""

    name: str
    url: str
    token_file: Path | None


class MemberSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A daemon as it answered: one of `status` and `why` is null."""

    name: str
    url: str
    status: Status | None = None
    why: str | None = None


class FleetSeen(msgspec.Struct, frozen=True):
    daemons: list[MemberSeen]


@click.command()
@click.argument("urls", nargs=-1, metavar="[URL]...")
@click.option("--config", type=click.Path(path_type=Path), help="The configuration file with [fleet].")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help="Opens the addresses that are given.  [default: the one each daemon uses]",
)
@click.option(
    "--within", "within_s", type=click.IntRange(1, WITHIN_MAX_S), default=WITHIN_S, show_default=True, help="Seconds."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def fleet(urls: tuple[str, ...], config: Path | None, token_file: Path | None, within_s: int, *, as_json: bool) -> None:
    """Show several daemons in one table: those that run here, those of [fleet], and the addresses given.

    A daemon on another machine is reached through a tunnel to a port of this one, as by: ssh -N -L 9001:127.0.0.1:PORT
    """
    members = find_members(urls, token_file, config)
    if not members:
        raise UserError("no daemon of this user runs here and [fleet] names none; give addresses, or see: serve --help")
    seen = trio.run(ask_all, members, within_s)
    if as_json:
        say_json(FleetSeen(seen), indent=2)
    else:
        print_table(_columns(seen))
        for one in seen:
            if troubles := _troubles(one):
                say(f"{one.name}: {troubles}")
    if any(one.status is None for one in seen):
        sys.exit(EXIT_FAILED)


def find_members(urls: Iterable[str], token_file: Path | None, config: Path | None) -> list[Member]:
    """Return the daemons, each once, by its address: what the configuration names it goes before what it is called by
    its database. Raises UserError for an address that is none, and for a configuration that cannot be used."""
    named = [Member(parse_url(url), parse_url(url), token_file) for url in urls]
    if config is not None or find_absent_config(None) is None:
        loaded = load_config(config)
        named += [
            Member(name, parse_url(one.url), None if one.token_file is None else loaded.path.parent / one.token_file)
            for name, one in loaded.config.fleet.daemons.items()
        ]
    running = [Member(Path(one.database).stem, one.url, Path(one.token_file)) for one in load_running_daemons()]
    found: dict[str, Member] = {}
    for member in [*named, *running]:
        known = found.get(member.url)
        if known is None:
            found[member.url] = member
        elif known.token_file is None:
            found[member.url] = known._replace(token_file=member.token_file)
    return list(found.values())


async def ask_all(members: Sequence[Member], within_s: int) -> list[MemberSeen]:
    """Ask every daemon for its status, all at once. Returns them in the order of `members`."""
    answers: dict[str, MemberSeen] = {}

    async def ask(member: Member) -> None:
        why = f"does not answer within {within_s} s"
        status = None
        with trio.move_on_after(within_s):
            try:
                async with AsyncClient(member.url, member.token_file, patience_s=0) as client:
                    status = await client.status()
            except ExecError as error:
                why = one_line(str(error))
        answers[member.url] = MemberSeen(
            name=member.name, url=member.url, status=status, why=None if status is not None else why
        )

    async with trio.open_nursery() as nursery:
        for member in members:
            nursery.start_soon(ask, member)
    return [answers[member.url] for member in members]


def _columns(seen: Sequence[MemberSeen]) -> list[Column]:
    exchanges = ["-" if one.status is None else one.status.environment for one in seen]
    return [
        names("daemon", [one.name for one in seen]),
        words("exchange", exchanges, then=((EXCHANGE_RANK, None),)),
        words("state", ["NO ANSWER" if one.status is None else one.status.state for one in seen]),
        figures("at work", [_count(one, "at_work") for one in seen]),
        figures("live", [_count(one, "live_orders") for one in seen]),
        figures("unknown", [_count(one, "unknown_orders") for one in seen]),
        figures("alerts", [_count(one, "alerts_pending") for one in seen]),
        words(
            "risk", ["-" if one.status is None or one.status.risk is None else one.status.risk.state for one in seen]
        ),
        Column("address", [one.url for one in seen], then=((ADDRESS_RANK, None),)),
    ]


def _count(one: MemberSeen, name: str) -> str:
    return "-" if one.status is None else str(getattr(one.status, name))


def _troubles(one: MemberSeen) -> str:
    if one.status is None:
        return one.why or ""
    status = one.status
    found = [*([] if status.why_halted is None else [f"halted: {status.why_halted}"]), *status.why_degraded]
    if status.quarantined:
        found.append(f"{len(status.quarantined)} quarantined")
    if status.losses:
        found.append(f"{len(status.losses)} acknowledged and lost")
    return "; ".join(found)
