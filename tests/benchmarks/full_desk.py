"""A database of many executions that have ended, and as many at work as are wanted: what a full desk is made of."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
