"""Who asks, whether they may, and how often: bearer tokens, the applications they are for, and a rate for each."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from ecm.serve.errors import ForbiddenError, TooManyError, UnauthenticatedError
from ecm.serve.tokens import Held, Token, known


@dataclass
class _Bucket:
    left: float
    at: float


class Rates:
    """A token bucket for each token: `per_s` requests a second, and twice as many at once."""

    def __init__(self, per_s: float, clock: Callable[[], float]) -> None:
        self.per_s = per_s
        self._burst = 2 * per_s
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def take(self, who: str) -> None:
        """Count a request of `who`; TooManyError where its bucket is empty."""
        now = self._clock()
        bucket = self._buckets.setdefault(who, _Bucket(self._burst, now))
        bucket.left = min(self._burst, bucket.left + (now - bucket.at) * self.per_s)
        bucket.at = now
        if bucket.left < 1:
            raise TooManyError(f"this token may ask {self.per_s:g} times a second; wait a second")
        bucket.left -= 1

    def forget(self, but: Mapping[str, object]) -> None:
        """Drop the buckets of tokens that are not in `but`."""
        self._buckets = {who: bucket for who, bucket in self._buckets.items() if who in but}


class Access:
    """The tokens as they were read last, and what their bearers may do."""

    def __init__(self, clock: Callable[[], datetime], rates: Rates) -> None:
        self._clock = clock
        self._rates = rates
        self._held: Mapping[str, Held] = {}

    def take(self, held: Mapping[str, Held]) -> None:
        """Go by these tokens from now on."""
        self._held = held
        self._rates.forget(held)

    def bearer(self, authorization: str | None, *, basic: bool = False) -> Token:
        """Return the token in an Authorization header, counting one request.

        `basic` also takes it as the password of HTTP Basic, as browsers send it. UnauthenticatedError where there is
        none that holds now, TooManyError above its rate.
        """
        scheme, _, sent = (authorization or "").partition(" ")
        if basic and scheme.lower() == "basic":
            sent = _password(sent)
        elif scheme.lower() != "bearer":
            sent = ""
        token = known(self._held, sent.strip(), self._clock())
        self._rates.take(token.id)
        return token


def may_ask(token: Token, application: str) -> None:
    """ForbiddenError unless the token is for `application`."""
    if application not in token.applications:
        raise ForbiddenError(f"this token is not for application {application!r}")


def may_see(token: Token) -> frozenset[str] | None:
    """Return the applications whose leases the token's bearer sees; None: all."""
    return None if token.operator else frozenset(token.applications)


def operator(token: Token) -> None:
    """ForbiddenError unless the token is an operator's."""
    if not token.operator:
        raise ForbiddenError("this needs an operator's token: ecm serve token --operator")


def _password(sent: str) -> str:
    try:
        return base64.b64decode(sent, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        raise UnauthenticatedError("not a password of HTTP Basic") from None
