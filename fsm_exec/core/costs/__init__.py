"""What an execution cost, from its data and its journal.

Its modules:

    metrics                  the shortfall and its parts, of an execution and of each order
    arrival                  prices and depth at the acceptance; what was paid against them
    message_counts           creates, amends, cancels, refusals, and their tokens
    rewards                  what the exchange's programmes pay for resting orders and for volume
    rows                     the rows of the store for costs, books, markouts and forecasts

and what one is likely to cost, before it is given:

    estimate                 cost with an interval, chances of filling, or why there is no basis for either
    estimate_table           what the lab fitted, as it is kept in a file
    market_features          what of the market they are weighed from
"""
