"""`fsm-exec`: the commands, and the one place where errors become a line on stderr and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage or input, 130 interrupted. No traceback reaches a user; it stands in the
command's log file.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from importlib import import_module, metadata
from typing import NoReturn

import click

from fsm_exec.cli.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE
from fsm_exec.cli.output import say
from fsm_exec.core.errors import DatabaseLost, ExecError, SaveRefused, StoreFailed, UserError, first_of
from fsm_exec.core.text import one_line, suggestion

SENTENCE_MAX = 200  # of a command's help in the list: it is broken, not cut
OWNER_ALONE = 0o077  # the rights a new file does not give: those of group and world


def _version() -> str:
    try:
        return metadata.version("fsm-exec")
    except metadata.PackageNotFoundError:
        return "(not installed)"  # started from a checkout


GROUPS = {
    "Trade": {
        "markets": "daemon.market_commands:markets",
        "book": "daemon.market_commands:book",
        "estimate": "daemon.estimate:estimate",
        "submit": "daemon.submit:submit",
        "close": "daemon.close:close",
        "cancel": "daemon.control_commands:cancel",
        "halt": "daemon.control_commands:halt",
        "resume": "daemon.control_commands:resume",
        "serve": "daemon.serve:serve",
    },
    "Look": {
        "top": "daemon.top:top",
        "open": "daemon.open:open_page",
        "list": "daemon.status_commands:list_executions",
        "show": "daemon.status_commands:show",
        "watch": "daemon.status_commands:watch",
        "metrics": "daemon.metrics:metrics",
        "status": "daemon.status_commands:status",
        "positions": "daemon.account_commands:positions",
        "pnl": "daemon.account_commands:pnl",
        "account": "daemon.account_commands:account",
        "risk": "daemon.risk_commands:risk",
        "alerts": "daemon.alert_commands:alerts",
        "replay": "database.replay:replay",
        "report": "lab.report:report",
        "fork": "lab.fork:fork",
        "review": "database.review:review",
        "forecasts": "database.forecasts:forecasts",
    },
    "Lab": {
        "demo": "demo.demo:demo",
        "paper": "exchange.paper:paper",
        "methods": "database.methods:methods",
        "algorithms": "lab.algorithms:algorithms",
        "compare": "lab.compare:compare",
        "tune": "lab.tune:tune",
        "fit-estimate": "lab.fit_estimate:fit_estimate",
        "simulate": "lab.simulate:simulate_command",
        "fidelity": "lab.fidelity:fidelity",
        "record": "exchange.record:record",
        "import": "exchange.import_log:import_log",
        "tapes": "lab.tapes:tapes",
    },
    "Care": {
        "doctor": "doctor:doctor",
        "db": "database.db:db",
        "diagrams": "diagrams:diagrams",
    },
}
"""By what they are for. Name: the module in `fsm_exec.cli` and the command in it."""

COMMANDS = {name: where for group in GROUPS.values() for name, where in group.items()}


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
            rows = []
            for name in group:
                command = self.get_command(ctx, name)
                assert command is not None
                rows.append((name, command.get_short_help_str(limit=SENTENCE_MAX)))
            with formatter.section(title):
                formatter.write_dl(rows)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(f"fsm_exec.cli.{module}"), name)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(_version(), prog_name="fsm-exec")
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
        message = error.format_message().rstrip(".")
        _fail(EXIT_USAGE, f"{message}{'' if message.endswith('?') else ';'} see: {command} --help")
    except (click.Abort, KeyboardInterrupt):
        _fail(EXIT_INTERRUPTED, "interrupted")
    except UserError as error:
        _fail(EXIT_USAGE, str(error))
    except ExecError as error:
        _fail(EXIT_FAILED, _message_of(error))
    except OSError as error:
        _fail_of_output(error)
    except BaseExceptionGroup as group:
        _fail_of_group(group)


def _disable_core_dumps() -> None:
    """Write no core dump when the process dies: a private key may be in it."""
    with suppress(ImportError, ValueError, OSError):
        import resource  # not on every platform

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _fail_of_group(group: BaseExceptionGroup[BaseException]) -> None:
    """Unwrap what the tasks of a nursery raised and fail by it; let a real bug show itself."""
    for kind, code in (
        (UserError, EXIT_USAGE),
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
            _fail(code, _message_of(error) or "interrupted")
    raise group


def _message_of(error: BaseException) -> str:
    remedy = ""
    if isinstance(error, SaveRefused):
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
    say(f"fsm-exec: {one_line(message)}", err=True)
    sys.exit(code)
