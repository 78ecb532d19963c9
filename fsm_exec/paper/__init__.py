"""The paper exchange: one market or several, played from a tape, with the members' resting orders laid over it.

Inside, everything runs on one timeline, synchronously: tape events, arrivals of requests, expiries. Around it stand
two hosts of the same REST application and the same WebSocket handler: loopback sockets and memory.

Each floor uses only those below it:

    server            REST, the stream, authentication, rate limits, hosting, faults of the wire
    venue             members' requests, the operator, the trading floor, reads, channels
    matching_engine   what trades with what, who owns what (pure)
    tapes             the background, recorded or generated
    timing            clock, timeline, latency            faults, lies   what goes wrong, drawn from a seed
    errors, ids, rfc3339, grids, random_draws             refusals, identifiers, times as text, price grids, draws
"""
