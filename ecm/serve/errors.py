"""What the service refuses or cannot do, each with the HTTP status that says so."""

from __future__ import annotations

from typing import ClassVar


class ServeError(Exception):
    """An answer that is not what was asked for; the text is for who asked."""

    status: ClassVar[int] = 400
    title: ClassVar[str] = "bad request"


class BookError(ServeError):
    """The lease book cannot be used."""

    status = 503
    title = "the lease book cannot be used"


class BusyError(ServeError):
    """More is asked for than can be answered now."""

    status = 503
    title = "busy"


class OutdatedError(ServeError):
    """Another process has read a plan that was applied later."""

    status = 503
    title = "a newer plan is being read"


class NoRoomError(ServeError):
    """A tier does not have what would be promised."""

    status = 409
    title = "no room"


class UnknownError(ServeError):
    """There is no such thing, or not for who asks."""

    status = 404
    title = "not found"


class KeyReusedError(ServeError):
    """An idempotency key came with another request."""

    status = 422
    title = "idempotency key reused"


class UnauthenticatedError(ServeError):
    """No token, or none that holds."""

    status = 401
    title = "unauthenticated"


class ForbiddenError(ServeError):
    """A token that holds, but not for this."""

    status = 403
    title = "forbidden"


class TooManyError(ServeError):
    """More requests than the token's rate."""

    status = 429
    title = "too many requests"


class FaultError(ServeError):
    """A fault of ECM itself; nothing was written."""

    status = 500
    title = "a fault of ecm itself"


class TooLargeError(ServeError):
    """A body that is larger than any request."""

    status = 413
    title = "too large"


class ListenError(ServeError):
    """The service cannot be reached where it was told to listen."""
