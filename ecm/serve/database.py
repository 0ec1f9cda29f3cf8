"""What a lease book asks of the database that it is in; the promises themselves are counted by the book, for all alike.

Statements are SQL that every database here reads, with `?` for each value. Times in it are the service's own: what has
expired is decided by the clock of the process that asks, never by the database's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

Row = tuple[Any, ...]


class Database(Protocol):
    """One connection to a book. Every method that asks the database raises BookError where it does not answer."""

    place: str
    """Where the book is, as messages name it; without anything secret."""
    tiers_of_leases: str
    """What a statement reads FROM to get a row, with the tier as `t.value`, for each tier of each lease."""

    def begin(self) -> bool:
        """Begin a transaction as the only one that writes to the book; False while another does.

        What is read in it is still so when it is committed.
        """

    def seen(self) -> object:
        """Return, in a transaction, what stays equal for as long as no other connection writes to the book."""

    def commit(self) -> None:
        """Write the transaction; it is on the disk on return."""

    def abandon(self) -> None:
        """Undo the transaction that is under way, if there is one; never an error."""

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Return what `statement` finds; outside a transaction, of what is committed."""

    def write(self, statement: str, many: Iterable[Sequence[object]]) -> None:
        """Do `statement` with each of `many`; in a transaction, when it is committed at the latest.

        So that a far database is asked once for all of them: no read of the same transaction may depend on one, and its
        error may come with the commit.
        """

    def close(self) -> None:
        """End the connection; nothing that was committed is lost without it."""


class Place(Protocol):
    """Where a stack's lease book is."""

    far: bool
    """Whether asking it may take as long as a network does: then it is asked in threads."""

    def open(self, stack: str) -> Database:
        """Return a connection to the book of `stack`, made where there is none.

        BookError where it cannot be used, is another stack's, or was made by a later version.
        """

    def __str__(self) -> str:
        """Return where it is, for people; without anything secret."""
