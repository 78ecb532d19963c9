"""A place in a bucket of an S3 store: each write carries If-None-Match or If-Match, which the store has to honour.

The library is imported here alone: it comes with the extra `s3`. A store that ignores the conditions is found out by
`fsm-exec doctor --standby`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import S3Store

from fsm_exec.core.text import one_line
from fsm_exec.standby.places.place import PlaceChanged, PlaceUnreachable, Stored
from fsm_exec.standby.places.s3_credentials import find_credentials
from fsm_exec.standby.places.s3_url import S3Address
from fsm_exec.standby.places.threads import PlaceThreads

if TYPE_CHECKING:
    from obstore import PutMode
    from obstore.store import S3Config

REQUEST_WITHIN: Final = timedelta(seconds=4)  # less than a call of a place may take
RETRIES: Final = 2  # of what may be sent again
RETRY_WITHIN: Final = timedelta(seconds=1)  # after that nothing is sent again
WORDS_MAX: Final = 200
METADATA_SERVICE: Final = "169.254."  # asked for credentials on a cloud's own machines, last of all
_SAID: Final = re.compile(r"<Code>(?P<code>[^<]*)</Code>(?:\s*<Message>(?P<words>[^<]*)</Message>)?")
_STATUS: Final = re.compile(r"status code: (\d{3}[ \w]*)")
_SYSTEM_WORDS: Final = re.compile(r'message: "([^"]+)"|"(failed to lookup [^"]+)"|(InvalidCertificate\([^)]*\))')

T = TypeVar("T")


class S3Place:
    """Implements `Place`. Nothing is asked yet: a store that cannot be reached is found by the first call."""

    def __init__(self, address: S3Address) -> None:
        self._address = address
        self._threads = PlaceThreads(self.url)
        given: S3Config = {}
        if address.endpoint:
            given["endpoint"] = address.endpoint
        if address.region:
            given["region"] = address.region
        self._store = S3Store(
            address.bucket,
            prefix=address.prefix,
            client_options={"allow_http": address.endpoint.startswith("http://"), "timeout": REQUEST_WITHIN},
            retry_config={"max_retries": RETRIES, "retry_timeout": RETRY_WITHIN},
            credential_provider=find_credentials(),
            config=given,
        )

    @property
    def url(self) -> str:
        return str(self._address)

    async def load(self, name: str) -> Stored | None:
        return await self._run(lambda: self._load(name))

    async def save(self, name: str, content: bytes, over: str | None) -> str:
        return await self._run(lambda: self._save(name, content, over))

    async def load_names(self, folder: str) -> list[str]:
        return await self._run(lambda: self._load_names(folder))

    async def delete(self, name: str) -> None:
        await self._run(lambda: obstore.delete(self._store, name))

    def _load(self, name: str) -> Stored | None:
        try:
            found = obstore.get(self._store, name)
        except FileNotFoundError as error:
            if _is_answer(error):
                return None
            raise
        return Stored(bytes(found.bytes()), self._tag(found.meta["e_tag"]))

    def _save(self, name: str, content: bytes, over: str | None) -> str:
        mode: PutMode = "create" if over is None else {"e_tag": over}
        try:
            done = obstore.put(self._store, name, content, mode=mode, use_multipart=False)
        except (AlreadyExistsError, PreconditionError) as error:
            if not _is_answer(error):
                raise
            raise PlaceChanged(f"{self.url}/{name} was changed meanwhile") from error
        return self._tag(done["e_tag"])

    def _load_names(self, folder: str) -> list[str]:
        pages = obstore.list(self._store, folder)
        return sorted(str(one["path"]) for page in pages for one in page)

    def _tag(self, tag: str | None) -> str:
        if tag is None:
            raise PlaceUnreachable(f"{self.url} gives its objects no ETag; use another store for the lease record")
        return tag

    async def _run(self, work: Callable[[], T]) -> T:
        """Do `work` in a thread. Raises PlaceUnreachable."""
        try:
            return await self._threads.run(work)
        except (BaseError, FileNotFoundError) as error:
            raise PlaceUnreachable(f"{self.url} cannot be used: {_words_of(str(error))}") from error


def _is_answer(error: Exception) -> bool:
    """Whether a store says that an object is not there, or is changed. Without a bucket, or a store at all, there is a
    404 as well."""
    said = str(error)
    return "404 Not Found" not in said or "NoSuchKey" in said


def _words_of(error: str) -> str:
    """Return what a person needs of the library's many lines."""
    asked, _, detail = error.partition("\n\nDebug source")
    if METADATA_SERVICE in asked:
        return (
            "there are no credentials; give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile of a file "
            "~/.aws/credentials"
        )
    if said := _SAID.search(asked):
        return one_line(f"the store says {said['code']}: {(said['words'] or '').strip()[:WORDS_MAX]}").rstrip(": ")
    if "redirect" in asked:
        return "the bucket is in another region; give it: ?region=REGION"
    if status := _STATUS.search(asked):
        return f"what answers there says {status[1].strip()}, and not as an S3 store does; is the endpoint right?"
    if "TimedOut" in detail or "Timeout" in detail:
        return "it did not answer in time"
    if system := _SYSTEM_WORDS.findall(detail):
        return one_line(next(filter(None, system[-1])))
    return one_line(asked[:WORDS_MAX])
