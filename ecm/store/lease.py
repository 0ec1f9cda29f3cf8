"""A lock with an owner and a lease: one run changes a stack at a time, and a dead run blocks nobody for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ecm.model.base import Frozen, Text, UtcTime, canonical
from ecm.model.links import Topic, link
from ecm.store.objects import Objects, StoreError


class Lease(Frozen):
    """Who holds the lock until when."""

    owner: Text
    since: UtcTime
    until: UtcTime


@contextmanager
def leased(objects: Objects, key: str, lease: Lease, *, is_dead: Callable[[str], bool]) -> Iterator[Lease]:
    """Hold the lock at `key` for the block; StoreError while another's lease runs, unless its owner `is_dead`."""
    data = canonical(lease)
    if not objects.create(key, data):
        held = objects.get(key)
        if held is not None:
            other = Lease.model_validate_json(held[0])
            if other.until > lease.since and not is_dead(other.owner):
                raise StoreError(
                    f"lock {key}: held by {other.owner} since {other.since.isoformat()}, until "
                    f"{other.until.isoformat()} at most; wait for that run, or for the end of its lease "
                    f"({link(Topic.LOCKED)})"
                )
        if not (objects.replace(key, data, held[1]) if held else objects.create(key, data)):
            raise StoreError(f"lock {key}: taken by another run just now; try again when it is done")
    try:
        yield lease
    finally:
        mine = objects.get(key)
        if mine is not None and mine[0] == data:
            objects.delete(key, mine[1])
