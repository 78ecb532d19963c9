"""What an execution cost, from its data and its journal.

Its modules:

    metrics                  the shortfall and its parts, of an execution and of each order
    arrival                  prices and depth at the acceptance; what was paid against them
    message_counts           creates, amends, cancels, refusals, and their tokens
    rows                     the rows of the store for costs, books, markouts and forecasts
"""
