"""The one TLS context of REST and the stream.

It trusts only the certificates that SSL_CERT_FILE and SSL_CERT_DIR name, if either is set; otherwise the system's store
and the bundle that comes with the HTTP client. It is made by hand because the usual constructor obeys SSLKEYLOGFILE, a
variable that would let another process read every order.

Authorities come and go while a process runs for years: when a certificate is refused what is trusted is read again, and
the next connection is judged by it. What was trusted before stays so until the process ends.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Final

import certifi
import trio

from fsm_exec.core.errors import UserError

FILE_VARIABLE = "SSL_CERT_FILE"
DIRECTORY_VARIABLE = "SSL_CERT_DIR"


READ_AGAIN_S: Final = 30.0  # at most so often: a server that nobody vouches for is asked every few seconds
CAUSES_MAX: Final = 8


class TrustingContext(ssl.SSLContext):
    """`read_again_s`: when, by trio's clock, what it trusts was last read again."""

    read_again_s: float | None = None


@cache
def shared_context() -> TrustingContext:
    """Return the context of this process, made at the first call. Raises UserError."""
    return make_context(os.environ)


def trust_again_after(error: BaseException) -> None:
    """Read again what the shared context trusts, if `error` says that a certificate was refused."""
    if not _is_refused_certificate(error):
        return
    context, now_s = shared_context(), trio.current_time()
    if context.read_again_s is None or now_s - context.read_again_s >= READ_AGAIN_S:
        context.read_again_s = now_s
        with suppress(UserError, OSError, ssl.SSLError):  # being replaced just now: the next time
            _load_trusted(context, os.environ)


def make_context(variables: Mapping[str, str]) -> TrustingContext:
    """Make a context from the environment's `variables`. Raises UserError for certificates that cannot be read."""
    context = TrustingContext(ssl.PROTOCOL_TLS_CLIENT)  # checks names and certificates
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load_trusted(context, variables)
    return context


def _is_refused_certificate(error: BaseException) -> bool:
    cause: BaseException | None = error
    for _ in range(CAUSES_MAX):
        if cause is None:
            return False
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _load_trusted(context: ssl.SSLContext, variables: Mapping[str, str]) -> None:
    file, directory = variables.get(FILE_VARIABLE) or None, variables.get(DIRECTORY_VARIABLE) or None
    if file is None and directory is None:
        context.load_default_certs()
        context.load_verify_locations(certifi.where())
        return
    if directory is not None and not os.path.isdir(directory):
        raise UserError(f"{DIRECTORY_VARIABLE} {directory!r}: is no directory; correct it, or unset it")
    try:
        context.load_verify_locations(cafile=file, capath=directory)
    except (OSError, ssl.SSLError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"{FILE_VARIABLE} {file!r}: holds no certificates ({reason}); give a PEM file, or unset it"
        ) from None
