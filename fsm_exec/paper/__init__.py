"""The paper exchange: one market or several, played from a tape, with everybody's resting orders laid over it.

Inside, everything runs on one timeline, synchronously: tape events, arrivals of requests, expiries. Around it stand
two hosts of the same REST application and the same WebSocket handler: loopback sockets and memory.

    level, matching          what trades with what (pure)
    orders, accounts         who ordered what, who owns what (pure)
    settlement               contracts, cash and fees of a match, payout at the result
    trading                  the floor: entering, withdrawing, ending, booking, telling
    lifecycle                on it the operator: pauses, close, result, another grid
    exchange, requests       on that the members: every write, and the checks before it
    batches, groups, grouping  many orders in one request; order groups
    bodies, reading          what a member is told and reads of its own
    market_reading, paging   what anybody reads; pages
    subscriptions, publishing, outbox  channels, frames, delivery
    tape, generator, grids   the background, recorded or drawn; player puts it on the timeline
    fidelity, ..._gates      what a tape looks like in figures, and whether drawn ones look like recorded ones
    clock, timeline, latency time
    auth, budget             who asks, and how much they may
    rest, rest_reads, rest_writes, asking, encoding  REST: the order of checks, the endpoints, queries, bodies
    ws, ws_commands          the stream: a connection, and its commands
    desk                     where both meet the timeline
    memory, hosting          serving it
    errors, ids, times       refusals, identifiers, times as text
"""
