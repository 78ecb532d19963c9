"""The paper exchange: one market or several, played from a tape, with everybody's resting orders laid over it.

Inside, everything runs on one timeline, synchronously: tape events, arrivals of requests, expiries. Around it stand
two hosts of the same REST application and the same WebSocket handler: loopback sockets and memory.

    level, matching     what trades with what (pure)
    orders, accounts    who ordered what, who owns what (pure)
    exchange            the writes: create, cancel, amend, tape changes, expiry, close
    reading             the bodies of every read
    publishing, outbox  frames, subscriptions, delivery
    tape, generator     the background: recorded or drawn
    clock, timeline     time; player puts a tape on it
    auth, rest, ws      the wire; hosting serves it
"""
