"""The paper exchange: one market or several, played from a tape, with everybody's resting orders laid over it.

Inside, everything runs on one timeline, synchronously: tape events, arrivals of requests, expiries. Around it stand
two hosts of the same REST application and the same WebSocket handler: loopback sockets and memory.

    level, matching          what trades with what (pure)
    orders, accounts         who ordered what, who owns what (pure)
    settlement               contracts, cash and fees of a match
    requests, exchange       the checks of a write, and what it does: create, cancel, amend, expire, close
    bodies, reading          what the exchange says of its state
    publishing, outbox       frames, subscriptions, delivery
    tape, generator, grids   the background, recorded or drawn; player puts it on the timeline
    fidelity, ..._gates      what a tape looks like in figures, and whether drawn ones look like recorded ones
    clock, timeline, latency time
    auth, desk, rest, ws     the wire
    memory, hosting          serving it
    errors, ids, times       refusals, identifiers, times as text
"""
