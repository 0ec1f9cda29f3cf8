"""The journal: what was decided, by whom and why; appended only, each line bound to the one before by its digest."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, ValidationError

from ecm.model.base import Digest, Frozen, Text, UtcTime, canonical, digest_bytes
from ecm.store.objects import RETRIES, Objects, StoreError

START: Final = digest_bytes(b"")
"""What the first line names as the line before it."""


class EntryKind(StrEnum):
    """What happened."""

    PLANNED = "planned"
    APPROVED = "approved"
    ATTEMPTED = "attempted"
    APPLIED = "applied"
    FAILED = "failed"
    UNAVAILABLE = "unavailable"
    VERIFIED = "verified"
    RECONCILED = "reconciled"
    """A scheduled run, with its outcome."""
    CLIENT = "client"
    """A client of a VPN is added, gets another key, or is revoked; written before it is done."""
    MENDED = "mended"
    """The journal's end was torn and was set aside."""


class Entry(Frozen):
    """One line of the journal."""

    number: Annotated[int, Field(ge=1)]
    at: UtcTime
    kind: EntryKind
    plan: Digest | None
    who: Text
    why: Text = ""
    previous: Digest
    """Digest of the line before, without its line end."""


class Journal:
    """The journal of one stack in `objects` at `key`."""

    def __init__(self, objects: Objects, key: str) -> None:
        self._objects = objects
        self._key = key

    def entries(self) -> tuple[Entry, ...]:
        """Return every entry, oldest first; StoreError when a line was edited, removed or put in."""
        held = self._objects.get(self._key)
        return self._read(held[0]) if held else ()

    def append(self, kind: EntryKind, *, at: UtcTime, plan: str | None, who: str, why: str = "") -> Entry:
        """Add one entry after whatever others added meanwhile, and return it."""
        for _ in range(RETRIES):
            held = self._objects.get(self._key)
            data = held[0] if held else b""
            lines = data.splitlines()
            entry = Entry(
                number=len(self._read(data)) + 1,
                at=at,
                kind=kind,
                plan=plan,
                who=_one_line(who),
                why=_one_line(why),
                previous=digest_bytes(lines[-1]) if lines else START,
            )
            end = b"" if not data or data.endswith(b"\n") else b"\n"
            grown = data + end + canonical(entry) + b"\n"
            if self._objects.replace(self._key, grown, held[1]) if held else self._objects.create(self._key, grown):
                return entry
        raise StoreError(f"journal {self._key}: others write to it all the time; try again")

    def set_torn_aside(self) -> str | None:
        """Keep a torn end under a key of its own and return that key; None when the journal is whole.

        Torn is an end without any entry in it, such as half a line. StoreError when entries were edited, removed or put
        in: that is for a person to look at.
        """
        held = self._objects.get(self._key)
        lines = held[0].splitlines(keepends=True) if held else []
        sound = next((number for number, line in enumerate(lines) if _parsed(line) is None), len(lines))
        if held is None or sound == len(lines):
            return None
        whole, torn = b"".join(lines[:sound]), b"".join(lines[sound:])
        if any(_parsed(line) for line in lines[sound:]):
            raise StoreError(f"journal {self._key}: line {sound + 1} is not an entry; restore it from a copy")
        self._read(whole)
        key = f"{self._key}.torn-{digest_bytes(torn).removeprefix('sha256:')[:12]}"
        self._objects.create(key, torn)
        if not self._objects.replace(self._key, whole, held[1]):
            raise StoreError(f"journal {self._key}: another run writes to it just now; try again when it is done")
        return key

    def _read(self, data: bytes) -> tuple[Entry, ...]:
        entries: list[Entry] = []
        previous = START
        for number, line in enumerate(data.splitlines(), start=1):
            entry = _parsed(line)
            if entry is None:
                raise StoreError(
                    f"journal {self._key}: line {number} is not an entry; ecm reconcile sets a torn end aside, "
                    "anything else has to be restored from a copy"
                )
            if entry.previous != previous or entry.number != number or canonical(entry) != line:
                raise StoreError(
                    f"journal {self._key}: line {number} does not follow the line before it: the journal was edited; "
                    "restore it from a copy"
                )
            previous = digest_bytes(line)
            entries.append(entry)
        return tuple(entries)


def applied_between(
    entries: Sequence[Entry], start: datetime, end: datetime
) -> tuple[tuple[str, datetime, datetime], ...]:
    """Return the plans that stood at some time of [start, end), each with from when to when, in time order.

    A plan stands from its `applied` entry to that of another plan; before the first one nothing is known.
    """
    marks = [(e.at, e.plan) for e in entries if e.kind is EntryKind.APPLIED and e.plan]
    changes = [mark for i, mark in enumerate(marks) if i == 0 or marks[i - 1][1] != mark[1]]
    ends = [*(at for at, _ in changes), end][1:]
    found = ((plan, max(at, start), min(until, end)) for (at, plan), until in zip(changes, ends, strict=True))
    return tuple(item for item in found if item[1] < item[2])


def _parsed(line: bytes) -> Entry | None:
    try:
        return Entry.model_validate_json(line)
    except ValidationError:
        return None


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:500]
