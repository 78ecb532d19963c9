"""What decides. Synchronous and pure: no clock, no randomness, no input or output. Times come in with the events.

Sub-packages, each above those below it; an import contract holds the order:

    costs                    what an execution cost: shares of the shortfall, arrival and paid prices, messages counted
    journal                  snapshots, the journal and its versions, replaying it, rows for the store, crash points
    recovery                 what listings prove after a doubt or a restart, and what each execution missed
    execution                the execution as data, its events, and one step of it: apply, decide, check
    algorithm                what an algorithm sees and may answer
    signals                  figures of the book and of the trades, and forecasts made of them
    market                   books, orders, prices, fees and limits as the exchange has them
    values                   exact numbers: prices, counts, money, times, means in fixed point

Beside them stand what the outside must offer, as protocols, and what everything may raise:

    exchange_port            the account at the exchange, and the listener of its stream
    store_port               the database
    leadership_port          who leads, where two engines have one account
    command_notes_port       notes of what a person orders, outside of the database
    errors, text             the tree of errors; foreign text made fit to be shown
    trouble                  what the log tells of trouble that goes on
"""
