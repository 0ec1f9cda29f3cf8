"""Bearer tokens: who may ask for which applications. The book keeps a hash of each, never the token.

A token is `ecm_`, its public id and a secret of 256 bits of chance. A secret that cannot be guessed needs no slow hash
(those are for passwords): SHA-256 is enough, and it is compared in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ecm.model.base import Frozen, Name, Text, UtcTime
from ecm.serve.database import Place
from ecm.serve.errors import UnauthenticatedError, UnknownError
from ecm.serve.lease import milliseconds, moment

_TOKEN: Final = re.compile(r"ecm_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_NOBODY: Final = b"\0" * 32
_REFUSED: Final = "no token that holds: send Authorization: Bearer TOKEN; `ecm serve token` makes one"


class Token(Frozen):
    """What a token allows; its secret is known to its bearer alone."""

    id: Text
    applications: tuple[Name, ...]
    """Applications that its bearer may ask, renew, release and list for."""
    operator: bool
    """Whether its bearer sees everything: all leases, the status page, the metrics."""
    made_at: UtcTime
    expires_at: UtcTime
    who: Text
    """For whom it was made."""


@dataclass(frozen=True)
class Held:
    """A token and the hash of its secret."""

    token: Token
    hash: bytes


class Tokens:
    """The tokens of a book."""

    def __init__(self, place: Place, stack: str) -> None:
        self._db = place.open(stack)

    def close(self) -> None:
        """Close it."""
        self._db.close()

    def make(self, token: Token) -> str:
        """Keep `token` under a new id and return the text that its bearer sends; nobody can read it again."""
        number, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
        row = (
            number,
            _hash(secret),
            json.dumps(token.applications),
            int(token.operator),
            milliseconds(token.made_at),
            milliseconds(token.expires_at),
            token.who,
        )
        self._db.write("INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?)", [row])
        return f"ecm_{number}_{secret}"

    def revoke(self, number: str) -> None:
        """Remove a token; UnknownError where there is none of this id."""
        if not self._db.rows("DELETE FROM tokens WHERE id = ? RETURNING id", (number,)):
            raise UnknownError(f"no token {number}; `ecm serve tokens` lists them")

    def held(self) -> dict[str, Held]:
        """Return every token by its id."""
        rows = self._db.rows("SELECT * FROM tokens ORDER BY made_ms, id")
        return {
            number: Held(
                Token(
                    id=number,
                    applications=tuple(json.loads(applications)),
                    operator=bool(operator),
                    made_at=moment(made),
                    expires_at=moment(expires),
                    who=who,
                ),
                hashed,
            )
            for number, hashed, applications, operator, made, expires, who in rows
        }


def known(held: Mapping[str, Held], sent: str, now: datetime) -> Token:
    """Return the token that `sent` is; UnauthenticatedError, always the same one, where it is none that holds at `now`.

    An unknown id takes the way of a known one, so that the time tells nobody which ids there are.
    """
    parts = _TOKEN.fullmatch(sent)
    found = held.get(parts[1]) if parts else None
    right = hmac.compare_digest(_hash(parts[2] if parts else ""), found.hash if found else _NOBODY)
    if not right or found is None or found.token.expires_at <= now:
        raise UnauthenticatedError(_REFUSED)
    return found.token


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
