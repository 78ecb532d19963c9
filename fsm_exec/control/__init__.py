"""The daemon's control API on loopback, the token that opens it, and its client.

The daemon's side, from the socket inwards:

    server, http1        one socket on loopback, so many connections; one connection of HTTP/1.1
    auth, token          which name was asked, and whether the caller holds the token; the token's file
    app, endpoints       paths and handlers; the list of endpoints that the OpenAPI document (openapi) is made of too
    responses, api_errors, schema   bodies and queries; errors with their codes; the structs of both sides
    service, admission   what each endpoint does; how a submission is checked (limits: what is accepted at most)
    user_commands        cancel, halt and resume
    journal_stream, broadcast, events   rows for a reader, what wakes the reader, rows as server-sent events

The client's side:

    client               Client and AsyncClient; client_errors has what they raise
    remote, calls        a daemon that is asked again, and found again; its requests as values
    transports           how a client waits: loop_transport, blocking_transport; memory_transport: no socket at all
    event_parser         events from lines
    discovery            which daemon runs: daemon_registry has those that do, paths says where files lie
"""
