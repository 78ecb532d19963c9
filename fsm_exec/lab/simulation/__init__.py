"""Simulation: the whole engine and the paper exchange in one process on virtual time, with faults and deaths.

One seed draws everything (scenario), and everything that happens follows from it (history, one hash). Nothing of the
engine is left out or replaced but the socket, the disk and the clock: its own client talks to the exchange's own
server over memory, its own SQL runs in a database that outlives it, and its life ends at any of its doors.

    life                an engine's life: its doors, and how it ends
    disk                the database that survives it
    transports          requests and frames on their way out, past the doors
    actions             what is done in a history
    scenario            what is drawn from a seed
    account_draws       what is drawn for the account: limits, trades by hand, settlements, losses
    history             what happened, and its hash
    watched_exchange    the paper exchange under watch, and a fault of its own
    engine_process      one life of the engine, composed as the daemon composes it
    witness             what is checked at every write and every commit
    risk_witness        what is checked of the account's risk
    risk_rules          what else must not be let in
    risk_oracle         the worst case, reckoned once more
    profit_checks       profit and positions: our books against the exchange's
    wire_rules          what every request must say
    audit               what is checked at the end: exchange against database, snapshots against journals
    world               one run: exchange, lives, actions
    contradiction       what has an execution quarantined, and who takes it up again
    third_parties       what other people do, and the account's owner by hand
    user_actions        what its user asks of an engine
    final_checks        how it ends: in time, and with all books alike
    wait                until the books say so
    shrink              a failing history made small
    seed_search         many seeds, in many processes
"""
