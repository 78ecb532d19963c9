"""Commands of the lab: `fsm-exec compare`, `tune`, `fit-estimate`, `simulate`, `report`, `fidelity`, `tapes`...

compare, compare_tables   several methods on the same episodes, and the tables that show how they did
tune                      settings of an algorithm, searched on some days and judged on others
fit_estimate              the table that estimates are weighed by, and how well one holds
simulate                  one seed, one history: where does the engine break its promise
report, page_file         one HTML file of what was measured; how a page is written
fidelity                  how much generated markets are like recorded ones
algorithms                which there are, and whether one keeps the rules
tapes                     which recordings there are, and what is in them
options, progress         options of experiments as numbers; the bar, and what Ctrl-C keeps
"""
