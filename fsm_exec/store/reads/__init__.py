"""Reads of the database, each a function of a connection: named for what needs them.

execution_reads   executions, their journal, orders, fills and metrics
recovery          what a start needs beside them
observations      forecasts, markouts, books: measured while executions run
api_queries       what the control API lists and shows
execution_history one execution with the books between acceptance and end
report_queries, review_queries   executions and costs for reports; ended ones and opportunities for reviews
method_rows       the methods a database knows
"""
