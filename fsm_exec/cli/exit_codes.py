"""The exit codes of the process: 0 done, and these."""

from __future__ import annotations

from typing import Final

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2  # a wrong option, or a wrong configuration
EXIT_INTERRUPTED: Final = 130
