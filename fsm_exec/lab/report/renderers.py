"""The reports there are, by what they are of; importing this loads the plotting library."""

from fsm_exec.lab.report.comparison import comparison_sections
from fsm_exec.lab.report.execution import execution_sections
from fsm_exec.lab.report.overview import overview_sections
from fsm_exec.lab.report.page import render_page

__all__ = ["comparison_sections", "execution_sections", "overview_sections", "render_page"]
