"""The one TLS context of REST and the stream.

It trusts only the certificates that SSL_CERT_FILE and SSL_CERT_DIR name, if either is set; otherwise the system's store
and the bundle that comes with the HTTP client. It is made by hand because the usual constructor obeys SSLKEYLOGFILE, a
variable that would let another process read every order.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from functools import cache

import certifi

from fsm_exec.core.errors import UserError

FILE_VARIABLE = "SSL_CERT_FILE"
DIRECTORY_VARIABLE = "SSL_CERT_DIR"


@cache
def shared_context() -> ssl.SSLContext:
    """Return the context of this process, made at the first call. Raises UserError."""
    return make_context(os.environ)


def make_context(variables: Mapping[str, str]) -> ssl.SSLContext:
    """Make a context from the environment's `variables`. Raises UserError for certificates that cannot be read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks names and certificates
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    file, directory = variables.get(FILE_VARIABLE) or None, variables.get(DIRECTORY_VARIABLE) or None
    if file is None and directory is None:
        context.load_default_certs()
        context.load_verify_locations(certifi.where())
        return context
    if directory is not None and not os.path.isdir(directory):
        raise UserError(f"{DIRECTORY_VARIABLE} {directory!r}: is no directory; correct it, or unset it")
    try:
        context.load_verify_locations(cafile=file, capath=directory)
    except (OSError, ssl.SSLError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"{FILE_VARIABLE} {file!r}: holds no certificates ({reason}); give a PEM file, or unset it"
        ) from None
    return context
