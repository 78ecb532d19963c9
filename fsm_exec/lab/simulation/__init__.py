"""Simulation: the whole engine and the paper exchange in one process on virtual time, with faults and deaths.

One seed draws everything (scenario), and everything that happens follows from it (history, one hash). Nothing of the
engine is left out or replaced but the socket, the disk and the clock: its own client talks to the exchange's own
server over memory, its own SQL runs in a database that outlives it, and its life ends at any of its doors.

    life        an engine's life: its doors, and how it ends
    disk        the database that survives it
    wires       requests and frames on their way out, past the doors
    scenario    what is drawn from a seed
    history     what happened, and its hash
    exchange    the paper exchange under watch, and a fault of its own
    process     one life of the engine, composed as the daemon composes it
    witness     what is checked at every write and every commit
    audit       what is checked at the end: exchange against database, snapshots against journals
    world       one run: exchange, lives, actions
    contradiction   what has an execution quarantined, and who takes it up again
    user        what its user asks of an engine
    ending      how it ends: in time, and with all books alike
    waiting     until the books say so
    shrink      a failing history made small
    hunt        many seeds, in many processes
"""
