"""What `fsm-exec init` needs to know. Each question has an option; `--yes`, and where nobody can answer, asks none."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import click
import msgspec

from fsm_exec.cli.config import DEFAULT_RISK, Config
from fsm_exec.cli.output import say
from fsm_exec.control.limits import ControlLimits
from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.errors import UserError
from fsm_exec.kalshi.environment import EnvironmentName
from fsm_exec.kalshi.signing import SigningKey, check_key_id

KEY_NAME: Final = "key.pem"
PAPER_KEY_NAME: Final = "paper-key.pem"
ENVIRONMENTS: Final = ("paper", "demo", "production")
WHERE_KEYS_ARE_MADE: Final = "make one on the exchange's page, under Account & security, API keys"

T = TypeVar("T")


class Asker:
    """Asks, unless it is not to."""

    def __init__(self, *, asks: bool) -> None:
        self.asks = asks and sys.stdin.isatty()

    def choose(self, given: T | None, option: str, question: Callable[[], T]) -> T:
        """Return what was given, else the answer to the question. Raises UserError where nobody is asked."""
        if given is not None:
            return given
        if not self.asks:
            raise UserError(f"nobody can be asked; give {option}")
        return question()

    def confirm_money(self, *, is_allowed: bool) -> None:
        """Return once real money is said twice, by option or by word. Raises UserError."""
        if is_allowed:
            return
        if not self.asks:
            raise UserError("--production trades with real money: give --allow-real-money too")
        if click.prompt('This trades with real money. Type "production" to go on', default="") != "production":
            raise UserError("nothing was written; fsm-exec init --demo trades with play money")


def ask_environment() -> EnvironmentName:
    """Ask which exchange."""
    say("paper: an exchange on this machine. demo: Kalshi's, with play money. production: real money.")
    chosen: EnvironmentName = click.prompt("Which exchange", type=click.Choice(ENVIRONMENTS), default="paper")
    return chosen


def ask_key_id() -> str:
    """Ask for the id of the key."""
    return str(click.prompt(f"The id of the API key ({WHERE_KEYS_ARE_MADE})"))


def ask_key_file() -> Path:
    """Ask for the file that the exchange offered with the key."""
    return Path(click.prompt("The file of its private key, as it was downloaded")).expanduser()


def ask_dollars(question: str, default: int) -> int:
    """Ask for whole dollars."""
    return int(click.prompt(question, type=click.IntRange(1, 10**9), default=default))


def limits_of(asker: Asker, max_order: int | None, max_loss: int | None) -> tuple[ControlLimits, RiskLimits]:
    """Return the limits that were given or asked for; all others have their defaults."""
    limits, risk = ControlLimits(), RiskLimits()
    most = limits.max_notional_dollars
    if max_order is None and asker.asks:
        max_order = ask_dollars("Most dollars that one execution may cost", most)
    if max_loss is None and asker.asks:
        max_loss = ask_dollars("Most dollars that may be lost in all", DEFAULT_RISK["max_worst_case_account_dollars"])
    if max_order is not None:
        limits = msgspec.structs.replace(limits, max_notional_dollars=max_order)
    if max_loss is not None:
        risk = msgspec.structs.replace(risk, max_worst_case_account_dollars=max_loss)
    return limits, risk


def account_config(environment: EnvironmentName, key_id: str, limits: ControlLimits, risk: RiskLimits) -> Config:
    """Return the configuration of an account at Kalshi. Raises UserError for an id that is none."""
    check_key_id(key_id.strip())
    return Config(
        environment=environment,
        api_key_id=key_id.strip(),
        private_key_path=KEY_NAME,
        allow_real_money=environment == "production",
        limits=limits,
        risk=risk,
    )


def read_key(path: Path) -> bytes:
    """Read a downloaded key, whoever may read it so far. Raises UserError for a file that holds none."""
    try:
        with path.open("rb") as file:
            pem = file.read(64 * 1024)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"--key-file {path}: cannot be read ({reason}); {WHERE_KEYS_ARE_MADE}") from None
    SigningKey.from_pem(pem, f"--key-file {path}")
    return pem
