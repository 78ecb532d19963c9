"""One execution: its data, what happens to it, and what it does next.

Its modules:

    execution, events        the data; the facts it learns and the intents it forms
    machine, draft           the tables of `states` with their guards; a copy under change
    advance                  one whole step: apply the event, decide, carry out, check
    apply_event              takes a fact in
    fills, corrections       how a fill is counted; how listings correct what was counted
    decide, order_checks     asks the algorithm; refuses what an invariant forbids
    closing_leg              the last order before the deadline
    cancel_capacity          how many executions the write budget can end in time
    invariants               what is true after every step
    timing                   how late a listing must be to prove anything
    describe                 events and intents in words
"""
