"""What a history consists of: the one object that is replaced, and therefore the only truth."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import ValidationError

from ecm.model.base import Digest, Frozen, Name, Text, UtcTime
from ecm.model.series import SeriesKey
from ecm.store.objects import StoreError


class Part(Frozen):
    """One Parquet object; never changed after it was written."""

    name: Text
    """Below the history: `days/<day>/<generation>-<digest>.parquet`."""
    digest: Digest
    rows: int
    first: UtcTime
    last: UtcTime
    """Earliest and latest stamp."""


class Day(Frozen):
    """The parts of one day (UTC)."""

    day: date
    raw: tuple[Part, ...] = ()
    """In the order in which they were appended: a later part's point replaces an earlier one's."""
    rollup: Part | None = None
    """Means over 15 min of all of `raw`; none while points came in since."""

    @property
    def closed(self) -> bool:
        """Whether only means are left: they could not be made again, so that the day takes no more points."""
        return self.rollup is not None and not self.raw


class Reached(Frozen):
    """How far a source has been collected; written with the points themselves, so that neither is ever ahead."""

    source: Name
    until: UtcTime


class Manifest(Frozen):
    """Every series and every part of the history at one generation."""

    layout: Literal[1] = 1
    generation: int = 0
    """Counts the writes, so that no two manifests are equal."""
    series: tuple[SeriesKey, ...] = ()
    """Parts name a series by its position here; series are only ever added."""
    days: tuple[Day, ...] = ()
    """Sorted by day."""
    reached: tuple[Reached, ...] = ()
    """Sorted by source."""

    def parts(self) -> tuple[Part, ...]:
        """Return all parts."""
        return tuple(p for d in self.days for p in (*d.raw, *((d.rollup,) if d.rollup else ())))


def parsed(data: bytes, where: str) -> Manifest:
    """Return the manifest that `data` holds; StoreError when it is none."""
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        at = ".".join(map(str, first["loc"])) or "the file"
        raise StoreError(
            f"history {where}: {at}: {first['msg']}; it was edited, or written by a newer version: bring back the "
            "manifest that stood there"
        ) from None
