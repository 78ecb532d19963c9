"""Serving the exchange: REST and the stream, in memory or on loopback sockets, and the faults of the wire.

hosting           two hosts of the same application and handler: memory (asgi_transport) and loopback sockets
direct_host       the shortest way, requests as calls and whole frames (frame_pair): for thousands of short sessions
rest              the REST application: the order of checks; rest_reads, rest_public, rest_writes list the endpoints
  request_params, account_reads   queries; what a member reads about its account
ws, ws_commands, outbox   one connection, its commands, its frames on their way
latency_gateway   where requests meet the timeline and the faults (request_context carries the verdict)
auth, rate_limit  who asks, and how much a member may ask
wire_faults, venue_faults   answers that never come, connections that are cut; pauses and outages
"""
