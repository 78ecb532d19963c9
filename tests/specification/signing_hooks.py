"""Signs what schemathesis sends, whatever it sends. Loaded by it, under the exchange's own interpreter."""

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path
from typing import Any

import schemathesis
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

GIVEN = json.loads(os.environ["FSM_EXEC_FUZZED_KEY"])
LOADED = serialization.load_pem_private_key(Path(GIVEN["private_key_path"]).read_bytes(), None)
assert isinstance(LOADED, RSAPrivateKey)
KEY = LOADED
PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)


def signed(request: Any) -> Any:  # noqa: ANN401 - its types are not installed everywhere
    """The three headers, over the path as it is sent."""
    stamp = str(time.time_ns() // 1_000_000)
    path = request.path_url.partition("?")[0]
    raw = KEY.sign(f"{stamp}{request.method}{path}".encode(), PSS, hashes.SHA256())
    request.headers["KALSHI-ACCESS-KEY"] = GIVEN["api_key_id"]
    request.headers["KALSHI-ACCESS-TIMESTAMP"] = stamp
    request.headers["KALSHI-ACCESS-SIGNATURE"] = base64.b64encode(raw).decode()
    return request


schemathesis.auth.set_from_requests(signed)
