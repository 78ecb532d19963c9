"""Which exchange and whose account a daemon works: by configuration, or a paper exchange on this machine."""

from __future__ import annotations

from pathlib import Path

from fsm_exec.cli.config import Config, Loaded, load
from fsm_exec.cli.exchange.paper_file import paper_at
from fsm_exec.core.errors import UserError
from fsm_exec.kalshi import environment


def account_of(config: Path | None, paper: str | None) -> Loaded:
    """Raises UserError."""
    if paper is None:
        return load(config)
    if config is not None:
        raise UserError("--config and --paper both name an exchange; give one of them")
    told = paper_at(paper)
    return Loaded(
        path=Path("(--paper)"),
        config=Config(
            environment="paper",
            api_key_id=told.api_key_id,
            private_key_path=told.private_key_path,
            rest_url=told.rest_url,
            ws_url=told.ws_url,
        ),
        exchange=environment.paper_environment(told.rest_url, told.ws_url),
        key_path=Path(told.private_key_path),
    )
