"""What the estimator of `core/costs/estimate.py` knows: samples, the fit of its table, and how well that holds.

samples              executions with what the market showed when they began: of an experiment
stored_executions    the same of a database
regression           weighted sums: of a mean, of a quantile, of a chance
fitting              the table, from samples
calibration          the table against samples it was not fitted on
"""
