"""What an algorithm sees, and what it may answer.

Its modules:

    algorithm                the goal, the progress, the actions, and the protocol of an algorithm
    market_view              the market at one moment
"""
