"""The reports there are, by what they are of; importing this loads the plotting library."""

from fsm_exec.lab.report.comparison import comparison_sections
from fsm_exec.lab.report.execution import execution_sections
from fsm_exec.lab.report.overview import overview_pictures, overview_sections
from fsm_exec.lab.report.page import Picture, render_page

__all__ = [
    "Picture",
    "comparison_sections",
    "execution_sections",
    "overview_pictures",
    "overview_sections",
    "render_page",
]
