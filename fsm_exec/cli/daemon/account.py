"""A daemon works the account of a configuration, or one on a paper exchange on this machine."""

from __future__ import annotations

from pathlib import Path

from fsm_exec.cli.config import Config, LoadedConfig, load_config
from fsm_exec.cli.exchange.paper_file import load_ready
from fsm_exec.core.errors import UserError
from fsm_exec.kalshi import environment


def load_account(config: Path | None, paper: str | None) -> LoadedConfig:
    """Load the account from the configuration or from the file of a paper exchange. Raises UserError."""
    if paper is None:
        return load_config(config)
    if config is not None:
        raise UserError("--config and --paper both name an exchange; give one of them")
    ready = load_ready(paper)
    return LoadedConfig(
        path=Path("(--paper)"),
        config=Config(
            environment="paper",
            api_key_id=ready.api_key_id,
            private_key_path=ready.private_key_path,
            rest_url=ready.rest_url,
            ws_url=ready.ws_url,
        ),
        exchange=environment.paper_environment(ready.rest_url, ready.ws_url),
        key_path=Path(ready.private_key_path),
    )
