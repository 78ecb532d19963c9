"""The client of Kalshi's trade API: signing, REST over httpx, the WebSocket over trio-websocket.

`client.open_client` gives a `core.ports.Exchange`. Nothing here decides: a write is sent once and its outcome is
handed back as data; what follows from it is core's business. W-numbers are sections of the wire reference.
"""
