"""`fsm-exec`: the commands, and the one place where errors become a line on stderr and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage or input, 130 interrupted. No traceback reaches a user; it stands in the
command's log file. Under a service manager, which tries a failure again and a wrong input not, what the machine does
not give is a failure: a file, a directory or a port that is not there at a boot may be there a moment later.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Final, NoReturn

import click

from fsm_exec.cli.command_list import COMMANDS, GROUPS
from fsm_exec.cli.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE
from fsm_exec.cli.output import say
from fsm_exec.core.errors import DatabaseLost, ExecError, SaveRefused, StoreFailed, UserError, VenueRefused, first_of
from fsm_exec.core.text import one_line, suggestion

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_NO_CHOICE = re.compile(r"'(.*?)' is not one of ", re.DOTALL)  # how click says it
OF_THE_MACHINE: Final = ("SQLITE_BUSY", "SQLITE_CANTOPEN", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY")
REFUSES_THE_KEY: Final = (401, 403)
OWNER_ALONE = 0o077  # the rights a new file does not give: those of group and world


class Commands(click.Group):
    """A group that loads a command when it is asked for: loading all takes longer than most of them take to run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; of one that is not there say which may have been meant."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"No such command {args[0]!r}{suggestion(args[0], COMMANDS)}".rstrip(";"))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by what they are for, each with the whole first sentence of its help."""
        for title, group in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name, place.summary) for name, place in group.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands that begin so, and the options; none of them is loaded for it."""
        from click.shell_completion import CompletionItem  # only a shell asks

        names = [name for name in COMMANDS if name.startswith(incomplete)]
        found = [CompletionItem(name, help=COMMANDS[name].summary) for name in names]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        command: click.Command = getattr(import_module(f"fsm_exec.cli.{place.module}"), place.name)
        return command


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from importlib import metadata  # seldom needed, and as long to load as all of this

    try:
        version = metadata.version("fsm-exec")
    except metadata.PackageNotFoundError:
        version = "(not installed)"  # started from a checkout
    say(f"fsm-exec, version {version}")
    ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """A durable execution engine for Kalshi. Start with: fsm-exec demo"""


def main() -> None:
    """Run the command that the arguments name; called by `fsm_exec.__main__`."""
    if not __debug__:
        _fail(EXIT_USAGE, "python -O switches checks off that guard money; run without -O")
    _disable_core_dumps()
    os.umask(OWNER_ALONE)  # books, logs, reports, recordings: whatever is made is its owner's alone
    if sys.stdout is None:  # closed by the process that started us
        _fail(EXIT_USAGE, "standard output is closed; open it, or send it to a file")
    try:
        cli.main(prog_name="fsm-exec", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        say(error.format_message(), err=True)
        sys.exit(EXIT_USAGE)
    except click.ClickException as error:
        command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "fsm-exec"
        message = f"{error.format_message().rstrip('.')}{_guess_choice(error)}"
        _fail(EXIT_USAGE, f"{message}{'' if message.endswith('?') else ';'} see: {command} --help")
    except (click.Abort, KeyboardInterrupt):
        _fail(EXIT_INTERRUPTED, "interrupted")
    except UserError as error:
        _fail(_usage_code(error), str(error))
    except ExecError as error:
        _fail(EXIT_FAILED, _message_of(error))
    except OSError as error:
        _fail_of_output(error)
    except BaseExceptionGroup as group:
        _fail_of_group(group)


def _guess_choice(error: click.ClickException) -> str:
    """Return `; did you mean filled?` if an option takes one of some words, and was given nearly one of them."""
    kind = error.param.type if isinstance(error, click.BadParameter) and error.param is not None else None
    given = _NO_CHOICE.match(error.message)
    if not isinstance(kind, click.Choice) or given is None:
        return ""
    return suggestion(given[1], map(str, kind.choices)).rstrip(";")


def _disable_core_dumps() -> None:
    """Write no core dump when the process dies: a private key may be in it."""
    with suppress(ImportError, ValueError, OSError):
        import resource  # not on every platform

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _fail_of_group(group: BaseExceptionGroup[BaseException]) -> None:
    """Unwrap what the tasks of a nursery raised and fail by it; let a real bug show itself."""
    for kind, code in (
        (UserError, None),
        (ExecError, EXIT_FAILED),
        (KeyboardInterrupt, EXIT_INTERRUPTED),
        (OSError, EXIT_FAILED),
        (SystemExit, EXIT_FAILED),  # how the table's printer says that its reader has gone
    ):
        found = group.subgroup(kind)
        if found is not None:
            error: BaseException = first_of(found)
            if isinstance(error, OSError | SystemExit):
                _fail_of_output(error)
            _fail(_usage_code(error) if code is None else code, _message_of(error) or "interrupted")
    raise group


def _usage_code(error: BaseException) -> int:
    """Return the exit code of a UserError: of one that comes from what the operating system did not give, 1 where a
    service manager started us."""
    cause: BaseException | None = error
    while cause is not None and "NOTIFY_SOCKET" in os.environ:
        if isinstance(cause, OSError) or getattr(cause, "sqlite_errorname", "").startswith(OF_THE_MACHINE):
            return EXIT_FAILED
        cause = cause.__cause__ or cause.__context__
    return EXIT_USAGE


def _message_of(error: BaseException) -> str:
    remedy = ""
    if isinstance(error, VenueRefused) and error.status in REFUSES_THE_KEY:
        remedy = "; see which it is, the key, its environment or this machine's clock: fsm-exec doctor"
    elif isinstance(error, SaveRefused):
        remedy = "; the database took no row of it: let no other process use the same --db"
    elif isinstance(error, DatabaseLost):
        remedy = (
            "; orders were cancelled without it, as far as the exchange answered: "
            "put it back with its -wal file and start again, or restore a backup"
        )
    elif isinstance(error, StoreFailed):
        remedy = "; free some disk space or check the disk, then use another --db"
    return f"{error}{remedy}"


def _fail_of_output(error: OSError | SystemExit) -> NoReturn:
    """Exit because the reader of our output has gone, or its disk is full. What is still buffered is thrown away: the
    interpreter would try to write it at its end, and complain again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if isinstance(error, SystemExit) or error.errno == errno.EPIPE:
        sys.exit(EXIT_FAILED)
    _fail(EXIT_FAILED, f"cannot write the output: {error.strerror or error}; make room or send it elsewhere")


def _fail(code: int, message: str) -> NoReturn:
    from fsm_exec.cli.logs.journal import ERROR, is_journal  # only here: most commands do not fail

    level = ERROR if is_journal(sys.stderr) else ""
    say(f"{level}fsm-exec: {one_line(message)}", err=True)
    sys.exit(code)
