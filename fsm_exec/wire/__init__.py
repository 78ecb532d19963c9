"""The exchange's words: REST bodies, WebSocket frames and recordings, as msgspec structs and their codecs.

Both ends use them: the client in `kalshi/` and the exchange in `paper/`. Prices, counts and money stay the strings they
are on the wire; a caller that needs a number parses it once with `core.values.units`. Unknown fields are ignored.
"""
