"""The history of measured load: Parquet parts by day below one manifest, which is swapped in one step."""

from ecm.store.history.history import Appended, Compacted, History, Retention
from ecm.store.history.manifest import Reached

__all__ = ["Appended", "Compacted", "History", "Reached", "Retention"]
