"""A board holds what a page shows now: fragments of HTML by the id of their element, and short texts by their class.

Every change has a version, and a viewer is sent what changed since the version it has: one that reads slowly gets fewer
and larger changes, never a queue of old ones, and costs nothing while it waits. What was removed is remembered only so
far; who is behind that loads the page again.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from typing import Final, NamedTuple

import msgspec
import trio
from markupsafe import Markup

REMOVED_KEPT: Final = 1_000
ENCODED_KEPT: Final = 8
EPOCH_BYTES: Final = 6


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a page is to do: put `html` in the place of the element `id`, or first into the element `into` if there is
    no such element; without `html` remove the element. With `slot`: set the text of every element of that class."""

    id: str = ""
    html: str = ""
    into: str = ""
    slot: str = ""
    text: str = ""


class Changes(msgspec.Struct, frozen=True):
    """One event. `now_ms` is the engine's time, by which the page counts what is left."""

    now_ms: int
    changes: list[Change]


class Weight(NamedTuple):
    """How much changed with a publication."""

    changes: int
    characters: int


class Place(NamedTuple):
    """Where a viewer is: the board's own name, and the version it has. Its text is the `id` of an event."""

    epoch: str
    version: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.version}"


def parse_place(text: str) -> Place | None:
    """Return the place that a viewer names; None: it is none."""
    epoch, _, version = text.partition("-")
    if not (version.isascii() and version.isdigit() and len(version) < 16):
        return None
    return Place(epoch, int(version))


class Board:
    """All fragments. Change it, then `publish`: viewers see the changes between two publications together. `published`
    is the weight of the last one."""

    def __init__(self) -> None:
        self._epoch = secrets.token_hex(EPOCH_BYTES)
        self._version = 1  # the one that is being made
        self._fragments: OrderedDict[str, tuple[int, Change]] = OrderedDict()  # by what last changed
        self._removed: OrderedDict[str, int] = OrderedDict()
        self._forgotten = 0  # removals up to this version are not known any more
        self._has_changed = False
        self.published = Weight(0, 0)
        self._weight = Weight(0, 0)
        self._news = trio.Event()
        self._encoded: OrderedDict[int, bytes] = OrderedDict()  # by the version a viewer has
        self._now_ms = 0

    @property
    def place(self) -> Place:
        """Where a page that is made now begins."""
        return Place(self._epoch, self._version - 1)

    @property
    def size(self) -> int:
        """How much is remembered: fragments, texts and removals."""
        return len(self._fragments) + len(self._removed)

    @property
    def removed(self) -> int:
        """How many removals are remembered."""
        return len(self._removed)

    def put(self, element_id: str, html: Markup, into: str = "") -> None:
        """Show a fragment: one element whose id is `element_id`. `into` names the element that gets it if it is new."""
        self._set(element_id, Change(id=element_id, html=str(html), into=into))

    def put_text(self, slot: str, text: str) -> None:
        """Show a text in every element of the class `slot`."""
        self._set(slot, Change(slot=slot, text=text))

    def html(self, element_id: str) -> Markup:
        """Return the fragment of this id as it is now. Raises KeyError."""
        return Markup(self._fragments[element_id][1].html)  # made by a template

    def text(self, slot: str) -> str:
        """Return the text of this class as it is now; a dash if there is none."""
        found = self._fragments.get(slot)
        return "-" if found is None else found[1].text

    def remove(self, element_id: str) -> None:
        """Show a fragment no more. A text is only forgotten: no element shows it by then."""
        found = self._fragments.pop(element_id, None)
        if found is None:
            return
        self._has_changed = True
        if found[1].slot:
            return
        self._removed[element_id] = self._version
        self._removed.move_to_end(element_id)
        while len(self._removed) > REMOVED_KEPT:
            _, self._forgotten = self._removed.popitem(last=False)

    def publish(self, now_us: int) -> None:
        """Let viewers see what changed since the last time, if anything did."""
        self._now_ms = now_us // 1_000
        self.published, self._weight = self._weight, Weight(0, 0)
        if not self._has_changed:
            return
        self._has_changed = False
        self._version += 1
        self._encoded.clear()
        self._news.set()
        self._news = trio.Event()

    def is_known(self, place: Place) -> bool:
        """Return whether a viewer that is there can be brought up to date by changes alone."""
        return place.epoch == self._epoch and self._forgotten <= place.version < self._version

    async def wait_for_news(self, place: Place) -> None:
        """Wait until there is a newer version than this one."""
        while place.version >= self._version - 1:
            await self._news.wait()

    def changes_since(self, place: Place) -> bytes:
        """Return what a viewer at this place is to change, as one JSON document; the same for all who are there."""
        found = self._encoded.get(place.version)
        if found is None:
            found = msgspec.json.encode(Changes(self._now_ms, self._changes_since(place.version)))
            self._encoded[place.version] = found
            while len(self._encoded) > ENCODED_KEPT:
                self._encoded.popitem(last=False)
        return found

    def _changes_since(self, version: int) -> list[Change]:
        newer = []
        for at, change in reversed(self._fragments.values()):
            if at <= version:
                break
            newer.append(change)
        gone = []
        for element_id, at in reversed(self._removed.items()):
            if at <= version:
                break
            gone.append(Change(id=element_id))
        return gone + newer[::-1]

    def _set(self, key: str, change: Change) -> None:
        found = self._fragments.get(key)
        if found is not None and found[1] == change:
            return
        self._fragments[key] = (self._version, change)
        self._fragments.move_to_end(key)
        self._removed.pop(key, None)
        self._has_changed = True
        self._weight = Weight(self._weight.changes + 1, self._weight.characters + len(change.html) + len(change.text))
