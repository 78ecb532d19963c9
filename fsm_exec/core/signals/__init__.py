"""Signals: what a book and its trades say about the next moments. Integers only.

Its modules:

    signals                  the struct an algorithm sees
    tracked_market           what is known of a market between two changes
    signal_tracker           keeps all of it up to date, change by change
    signal_reading           tells what is asked for, as it stands at one moment
    sweep_cost               what buying through the book costs, against its usual value
    order_flow               cancels, takers, and the momentum of the reference design
    forecasts                probabilities of a fill and of a dry book, and how they are scored
"""
