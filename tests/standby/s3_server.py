"""A real S3 server as a process of its own on loopback: moto's. Started as a script it serves until it is killed."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

BUCKET = "pair"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "reader", "AWS_SECRET_ACCESS_KEY": "not-secret"}
SIGNED = "AWS4-HMAC-SHA256 Credential=reader/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
ROOT = Path(__file__).parents[2]


@dataclass
class S3Server:
    """A server that runs."""

    process: subprocess.Popen[str]
    endpoint: str

    def url(self, prefix: str, bucket: str = BUCKET) -> str:
        """A prefix of its bucket, as configurations write it."""
        return f"s3://{bucket}/{prefix}?endpoint={self.endpoint}"


@contextmanager
def s3_server(*, ignores: str = "", denies: bool = False) -> Iterator[S3Server]:
    """A server with one bucket. It ignores one condition, a header; one that denies knows no key at all."""
    command = [sys.executable, str(Path(__file__).resolve()), "--ignores", ignores]
    first = {"INITIAL_NO_AUTH_ACTION_COUNT": "1"} if denies else {}  # the bucket is made, then every key is unknown
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **first},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        port = process.stdout.readline().strip()
        assert port, f"the server ended with {process.wait()}"
        yield S3Server(process, f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _serve(ignores: str) -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server
    from werkzeug.test import Client

    s3 = DomainDispatcherApplication(create_backend_app)
    Client(s3).put(f"/{BUCKET}", headers={"Authorization": SIGNED})
    one_at_a_time = threading.Lock()  # a store judges a condition and writes in one step; moto's threads do not

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ.pop(f"HTTP_{ignores.upper().replace('-', '_')}", None)
        with one_at_a_time:
            return list(s3(environ, start_response))

    server = make_server("127.0.0.1", 0, answer, threaded=True)
    print(server.port, flush=True)  # noqa: T201 - who started it reads it
    server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ignores", default="")
    _serve(parser.parse_args().ignores)
