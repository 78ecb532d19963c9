"""How late a statement of the exchange may be, and so how late a proof must be."""

from __future__ import annotations

SIGNATURE_WINDOW_US = 30_000_000
"""How long after it was signed a request may still be accepted."""
READ_LAG_US = 2_000_000
"""How far a listing's own `as_of` is trusted: seen lag is about 0.4 s."""
PROOF_US = SIGNATURE_WINDOW_US + READ_LAG_US
"""How much later than what is doubted a listing must be."""
FEE_LEAD_US = SIGNATURE_WINDOW_US
"""How long before fees rise an order has to fit them: a request that was signed earlier may still be accepted."""
