"""The gate before every route: who asks, before a byte of the body is read; headers and measures of every answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ecm.serve.access import Access
from ecm.serve.answers import problem
from ecm.serve.errors import ServeError, TooLargeError, UnauthenticatedError
from ecm.serve.measures import Measures

OPEN: Final = ("/healthz", "/openapi.json")
"""Paths that tell nothing of a stack and ask for no token."""
LARGEST_BODY: Final = 65_536
"""Bytes; a request with a hundred destinations has three thousand."""
PAGE: Final = "/"
"""The status page: browsers send the token as the password of HTTP Basic."""
_TOO_LARGE: Final = f"a body has at most {LARGEST_BODY} bytes"
_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'",
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)


class Gate:
    """ASGI middleware: no request passes without a token that holds and has not used up its rate."""

    def __init__(self, app: ASGIApp, *, access: Access, measures: Measures, clock: Callable[[], float]) -> None:
        self._app = app
        self._access = access
        self._measures = measures
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its token in `request.state.token`, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = self._clock()

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
                route = scope.get("route")
                path = getattr(route, "path", "none")
                self._measures.answered(path, message["status"], self._clock() - began)
            await send(message)

        headers, path = Headers(scope=scope), scope["path"]
        try:
            if path not in OPEN:
                token = self._access.bearer(headers.get("authorization"), basic=path == PAGE)
                scope.setdefault("state", {})["token"] = token
            _require_small(headers.get("content-length", "0"))
        except ServeError as error:
            await _refusal(error, basic=path == PAGE)(scope, receive, answer)
            return
        await self._app(scope, _bounded(receive), answer)


def _bounded(receive: Receive) -> Receive:
    """Return `receive`, which stops a body that did not say its length once it is too large."""
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > LARGEST_BODY:
            # Not a ServeError: the framework would call that a body that cannot be parsed.
            raise HTTPException(TooLargeError.status, _TOO_LARGE)
        return message

    return counted


def _require_small(length: str) -> None:
    """TooLargeError for a body that says that it is too large."""
    if length.isdecimal() and int(length) > LARGEST_BODY:
        raise TooLargeError(_TOO_LARGE)


def _refusal(error: ServeError, *, basic: bool) -> Response:
    headers = {}
    if isinstance(error, UnauthenticatedError):
        headers["WWW-Authenticate"] = 'Basic realm="ecm", charset="UTF-8"' if basic else 'Bearer realm="ecm"'
    return problem(error, headers)
