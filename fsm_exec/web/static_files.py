"""The page's own style sheet and scripts, under addresses that name their content: a browser keeps them for good."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

HASH_DIGITS: Final = 16
PREFIX: Final = "/static/"
FOR_GOOD: Final = "public, max-age=31536000, immutable"
MEDIA_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class _File(NamedTuple):
    content: bytes
    media_type: str


class StaticFiles:
    """All files, read once. A request names one by its whole address, so no path leads anywhere else."""

    def __init__(self) -> None:
        self._urls: dict[str, str] = {}
        self._files: dict[str, _File] = {}
        for file in resources.files("fsm_exec.web").joinpath("static").iterdir():
            kind = MEDIA_TYPES.get(file.name.rpartition(".")[2])
            if kind is not None:
                self.add(file.name, file.read_bytes(), kind)

    def add(self, name: str, content: bytes, media_type: str) -> None:
        """Serve one more file, as a script that another package brings."""
        digest = hashlib.sha256(content).hexdigest()[:HASH_DIGITS]
        url = f"{PREFIX}{digest}/{name}"
        self._urls[name], self._files[url] = url, _File(content, media_type)

    def url(self, name: str) -> str:
        """Return the address of a file. Raises KeyError if there is none of that name."""
        return self._urls[name]

    def route(self) -> Route:
        async def send_file(request: Request) -> Response:
            file = self._files.get(request.scope["path"])
            if file is None:
                return Response("no such file", 404, media_type="text/plain")
            return Response(file.content, headers={"Cache-Control": FOR_GOOD}, media_type=file.media_type)

        return Route(PREFIX + "{path:path}", send_file, methods=["GET"])
