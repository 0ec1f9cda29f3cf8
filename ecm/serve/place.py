"""Which database a lease book is in, by how it is named."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from ecm.serve.database import Place
from ecm.serve.errors import BookError
from ecm.serve.sqlite import SqliteFile

_SCHEMES: Final = ("postgresql:", "postgres:")


def place_of(name: str) -> Place:
    """Return where the book called `name` is: a PostgreSQL URL, else a file; BookError where that cannot be."""
    if not name.startswith(_SCHEMES):
        return SqliteFile(Path(name).expanduser())
    if find_spec("psycopg") is None:
        raise BookError("PostgreSQL needs a package more: pip install 'endpoint-chain-manager[postgres]'")
    from ecm.serve.postgres.server import server_of  # noqa: PLC0415 - an extra

    return server_of(name)
