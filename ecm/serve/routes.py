"""The routes of the service."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import FastAPI, Header, Path, Query, Request, Response
from fastapi.openapi.utils import get_openapi

from ecm.model import exposition
from ecm.model.request import RouteDecision
from ecm.serve import orders
from ecm.serve.access import may_ask, may_see, operator
from ecm.serve.answers import (
    IDEMPOTENCY_KEY,
    PROBLEM,
    Granted,
    Health,
    LeasePage,
    Problem,
    RenewalAsked,
    RouteAsked,
)
from ecm.serve.lease import Lease, LeaseId
from ecm.serve.page import status_page
from ecm.serve.service import Service
from ecm.serve.tokens import Token

JSON: Final = "application/json"
SCHEME: Final = "token"
MOST: Final = 200
"""Leases of one answer."""


_MEANING: Final = {
    400: "A body that cannot be read",
    401: "No token that holds",
    403: "A token that is not for this",
    404: "There is no such lease, or it is another's",
    409: "No chain meets the request, or there is no room",
    413: "The body is too large",
    422: "The request is not as this document says, or its idempotency key came with another one",
    429: "Above the token's rate",
    503: "Busy; try again",
}


Id = Annotated[LeaseId, Path(description="The lease's id.")]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=IDEMPOTENCY_KEY,
        description="The same key and request get the same answer, for as long as the lease was given for (10 min at "
        "least).",
    ),
]


def add_routes(app: FastAPI) -> None:
    """Declare every route of the service. The gate checks tokens; here it is only said which routes ask for one."""
    app.post("/v1/routes", status_code=201, response_model=Granted, **_says(403, 404, 409))(ask)
    app.post("/v1/routes/what-if", response_model=RouteDecision, **_says(403, 404))(what_if)
    app.get("/v1/leases", response_model=LeasePage, **_says())(leases)
    app.get("/v1/leases/{lease_id}", response_model=Lease, **_says(404))(lease)
    app.post("/v1/leases/{lease_id}/renew", response_model=Lease, **_says(404, 409))(renew)
    app.delete("/v1/leases/{lease_id}", status_code=204, **_says(404))(release)
    app.get("/healthz", response_model=Health, responses={503: {"model": Problem, "description": _MEANING[503]}})(
        health
    )
    app.get("/metrics", include_in_schema=False)(metrics)
    app.get("/", include_in_schema=False)(status)


def _says(*statuses: int) -> dict[str, Any]:
    content = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    every = (*statuses, 400, 401, 413, 422, 429, 503)
    return {
        "responses": {status: {"description": _MEANING[status], "content": content} for status in every},
        "openapi_extra": {"security": [{SCHEME: []}]},
    }


def document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, with how a token is sent."""
    made = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, summary=app.summary
    )
    bearer = {"type": "http", "scheme": "bearer", "description": "ecm serve token makes one"}
    made["components"]["securitySchemes"] = {SCHEME: bearer}
    return made


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _token(request: Request) -> Token:
    token: Token = request.state.token
    return token


async def ask(request: Request, asked: RouteAsked, key: Key = None) -> Response:
    """Decide on a chain and promise its bandwidth, in one step; the answer is on the disk before it is sent."""
    may_ask(_token(request), asked.application)
    by_key = (asked.application, key) if key is not None else None
    answer = await _service(request).desk.do(orders.grant(asked, key), by_key)
    return Response(answer, status_code=201, media_type=JSON)


async def what_if(request: Request, asked: RouteAsked) -> Response:
    """Decide on a chain with what is free now, and promise nothing."""
    may_ask(_token(request), asked.application)
    service = _service(request)
    free = {load.tier: load.free_mbps for load in await service.read(lambda reader: reader.loads())}
    return _json(service.desk.offer.decide(asked, lambda tier: free.get(tier, 0)))


async def leases(
    request: Request,
    after: Annotated[LeaseId | None, Query(description="Only leases with a higher id.")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = MOST,
) -> Response:
    """List the leases of the token's applications; an operator's token lists all."""
    service, applications = _service(request), may_see(_token(request))
    now = service.clock()
    found = await service.read(
        lambda reader: reader.leases(now, applications=applications, after=after or "", most=limit)
    )
    return _json(LeasePage(leases=found, after=found[-1].id if len(found) == limit else None))


async def lease(request: Request, lease_id: Id) -> Response:
    """Show one lease."""
    service, applications = _service(request), may_see(_token(request))
    now = service.clock()
    return _json(await service.read(lambda reader: reader.lease(lease_id, now, applications=applications)))


async def renew(request: Request, lease_id: Id, asked: RenewalAsked) -> Response:
    """Let a lease live longer."""
    applications = frozenset(_token(request).applications)
    return _json(await _service(request).desk.do(orders.renew(lease_id, asked.ttl_s, applications)))


async def release(request: Request, lease_id: Id) -> Response:
    """Give a lease's bandwidth back."""
    await _service(request).desk.do(orders.release(lease_id, frozenset(_token(request).applications)))
    return Response(status_code=204)


async def metrics(request: Request) -> Response:
    """Measures of this process and of the book, for Prometheus; for operators."""
    operator(_token(request))
    service = _service(request)
    now = service.clock()
    loads, counts = await service.read(lambda reader: (reader.loads(), reader.counts(now)))
    page = service.measures.page(service.desk, loads, counts, service.published)
    return Response(page, media_type=exposition.CONTENT_TYPE)


async def status(request: Request, after: LeaseId | None = None) -> Response:
    """Show chains, tiers, load and leases, for people; for operators."""
    operator(_token(request))
    service = _service(request)
    page = await service.read(lambda reader: status_page(service, reader, after or ""))
    return Response(page, media_type="text/html; charset=utf-8")


async def health(request: Request) -> Response:
    """Whether the service answers: the book can be read and a plan is known."""
    service = _service(request)
    await service.read(lambda reader: reader.check())
    _ = service.desk.offer
    return _json(Health(status="ok"))


def _json(value: RouteDecision | LeasePage | Lease | Health) -> Response:
    return Response(value.model_dump_json(), media_type=JSON)
