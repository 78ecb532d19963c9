"""The templates make HTML: what is filled in is escaped, and a name that is missing is an error, not a gap."""

from __future__ import annotations

from collections.abc import Callable

import jinja2
from markupsafe import Markup

from fsm_exec.core.text import one_line
from fsm_exec.web.static_files import StaticFiles


class Templates:
    """All templates of the page. In them `static("page.css")` is a file's address; the filter `clean` takes control
    characters out of what somebody else wrote."""

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
        self._environment.filters["clean"] = one_line

    def render(self, name: str, **values: object) -> str:
        """Return a whole page. Raises jinja2.UndefinedError for a name that was not given."""
        return self._environment.get_template(name).render(values)

    def macro(self, name: str, macro: str) -> Callable[..., Markup]:
        """Return one macro of a template as a function: a fragment that a stream sends is made by what made the
        page."""
        module = self._environment.get_template(name).module
        made: Callable[..., Markup] = getattr(module, macro)
        return made
