"""The Grafana board that ships with the daemon, and how Prometheus is led to it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

SCRAPE = """\
# Prometheus reads this daemon with the token of its file, which only the daemon's user can read:
# Prometheus runs as that user, or gets a copy of the file.
scrape_configs:
  - job_name: fsm-exec
    scrape_interval: 5s
    metrics_path: /metrics
    authorization:
      type: Bearer
      credentials_file: {token_file}
    static_configs:
      - targets: ["{target}"]
"""


def load_board() -> str:
    """Load the board, as Grafana imports it."""
    return resources.files("fsm_exec.control.metrics").joinpath("board.json").read_text(encoding="utf-8")


def scrape_config(url: str, token_file: Path) -> str:
    """Return the part of a Prometheus configuration that reads the daemon at `url`."""
    return SCRAPE.format(token_file=token_file, target=urlsplit(url).netloc)
