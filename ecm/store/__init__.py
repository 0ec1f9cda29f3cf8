"""What must outlive a run: plans, peer tables, journal, marks and locks, in a folder or in any other `Objects`."""

from ecm.store.journal import Entry, EntryKind, applied_between
from ecm.store.location import open_objects, open_store
from ecm.store.objects import Objects, StoreError
from ecm.store.store import Attempt, Signed, Store

__all__ = [
    "Attempt",
    "Entry",
    "EntryKind",
    "Objects",
    "Signed",
    "Store",
    "StoreError",
    "applied_between",
    "open_objects",
    "open_store",
]
