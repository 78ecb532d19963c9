"""The state machines of fsm_exec, as tables. Everything that may happen is a row here; nothing else can happen."""

from states._table import Row as Row
from states._table import Table as Table
from states.child_order import CHILD_ORDER
from states.engine import ENGINE
from states.execution import EXECUTION
from states.execution import REASONS as REASONS
from states.market_feed import MARKET_FEED
from states.risk import RISK

TABLES: dict[str, Table] = {t.name: t for t in (EXECUTION, CHILD_ORDER, MARKET_FEED, ENGINE, RISK)}
