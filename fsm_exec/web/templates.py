"""The templates make HTML: what is filled in is escaped, and a name that is missing is an error, not a gap."""

from __future__ import annotations

from collections.abc import Callable

import jinja2
from markupsafe import Markup

from fsm_exec.core.text import one_line
from fsm_exec.core.values.short_text import dollars, signed, trim_count
from fsm_exec.core.values.units import MoneyE6, format_fixed, format_money, parse_money
from fsm_exec.web.static_files import StaticFiles


class Templates:
    """All templates of the page. In them `static("page.css")` is a file's address; the filter `clean` takes control
    characters out of what somebody else wrote; `count_`, `dollars` and `signed` are the short forms of figures, `cents`
    and `signed_cents` those of an account's money, `four` an average price; `total` sums
    money up."""

    def __init__(self, static: StaticFiles) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader("fsm_exec.web"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals["static"] = static.url
        self._environment.filters |= {
            "clean": one_line,
            "count_": trim_count,
            "dollars": dollars,
            "signed": signed,
            "cents": lambda money: whole_cents(parse_money(money)),
            "signed_cents": lambda money: signed_cents(parse_money(money)),
            "four": four_decimals,
            "total": lambda each: format_money(MoneyE6(sum(map(parse_money, each)))),
        }

    def render(self, name: str, **values: object) -> str:
        """Return a whole page. Raises jinja2.UndefinedError for a name that was not given."""
        return self._environment.get_template(name).render(values)

    def macro(self, name: str, macro: str) -> Callable[..., Markup]:
        """Return one macro of a template as a function: a fragment that a stream sends is made by what made the
        page."""
        module = self._environment.get_template(name).module
        made: Callable[..., Markup] = getattr(module, macro)
        return made


def whole_cents(amount_e6: int) -> str:
    """Return dollars to two decimals with separators, half away from zero: of an account, less says more."""
    whole, rest = divmod((abs(amount_e6) + 5_000) // 10_000, 100)
    return f"{'-' if amount_e6 <= -5_000 else ''}{whole:,}.{rest:02}"


def signed_cents(amount_e6: int) -> str:
    """The same, with its sign."""
    return f"{'+' if amount_e6 >= 5_000 else ''}{whole_cents(amount_e6)}"


def four_decimals(money: str) -> str:
    """Return dollars to four decimals, half away from zero: averages stand under each other."""
    value = parse_money(money)
    rounded = (abs(value) + 50) // 100
    return format_fixed(-rounded if value < 0 else rounded, 4)
