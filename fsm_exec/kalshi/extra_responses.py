"""Close connections that hold a response to no request of ours, before they are used again.

HTTP/1.1 matches responses to requests by their order alone. If a server or a proxy answers one request twice, the
second answer stands in the connection's buffer and is taken for the answer to the next request: an older listing for a
newer one, and from then on each answer for the wrong question. httpcore closes an idle connection whose socket has
something to read, but does not look at what it has already read; so it is looked at here, and such a connection ends.

The buffer is reached by httpcore's private names. Where they lead nowhere (another transport, another release) the
response is closed as it is; a test over a socket fails then.
"""

from __future__ import annotations

from typing import Any, Final

import httpx

_PATH_TO_CONNECTION: Final = ("stream", "_stream", "_httpcore_stream", "_stream", "_connection")


async def close_response(response: httpx.Response) -> bool:
    """Close the response, and its connection too if that holds more than this response. Returns True if it did."""
    connection: Any = response
    for name in _PATH_TO_CONNECTION:
        connection = getattr(connection, name, None)
    await response.aclose()
    left, _ = getattr(getattr(connection, "_h11_state", None), "trailing_data", (b"", False))
    if not left:
        return False
    await connection.aclose()
    return True
