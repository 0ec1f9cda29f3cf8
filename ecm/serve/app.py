"""The service as an ASGI application."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ecm import __version__
from ecm.serve.answers import problem
from ecm.serve.errors import ServeError
from ecm.serve.gate import Gate
from ecm.serve.routes import add_routes, document
from ecm.serve.service import Service, Settings

_SHOWN: Final = 5
"""Faults of a request that its answer names."""


def make_app(settings: Settings) -> FastAPI:
    """Return the application of one process; BookError where the book cannot be used."""
    service = Service(settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(
        title="Endpoint Chain Manager: routing service",
        version=__version__,
        description="Routes by QoS, with leases: never more is promised of a chain than it has.",
        docs_url=None,  # These pages load scripts from elsewhere.
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.service = service
    for kind in (ServeError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, _answer)
    app.add_middleware(Gate, access=service.access, measures=service.measures, clock=time.monotonic)
    add_routes(app)
    app.openapi = cache(partial(document, app))  # type: ignore[method-assign]
    return app


class _HttpError(ServeError):
    """What the framework itself refuses, such as a path or method that there is not."""

    def __init__(self, error: HTTPException) -> None:
        super().__init__(f"{error.detail}; /openapi.json says what there is")
        self.status = error.status_code  # type: ignore[misc]
        self.title = str(error.detail)  # type: ignore[misc]


class _InvalidError(ServeError):
    """A request that is not as the OpenAPI document has it."""

    status = 422
    title = "the request is not as /openapi.json says"


def _answer(_request: Request, error: Exception) -> Response:
    """Return the answer to what went wrong with a request."""
    if isinstance(error, ServeError):
        return problem(error)
    if isinstance(error, HTTPException):
        return problem(_HttpError(error), error.headers)
    if isinstance(error, RequestValidationError):
        return problem(_InvalidError(_faults(error)))
    raise error


def _faults(error: RequestValidationError) -> str:
    found = error.errors()
    said = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in found[:_SHOWN]]
    more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return "; ".join([*said, *more])
