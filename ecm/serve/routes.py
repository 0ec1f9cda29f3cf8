"""The routes of the service."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response, Security
from fastapi.security import HTTPBearer

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
MOST: Final = 200
"""Leases of one answer."""


def _says(*statuses: int) -> dict[int | str, dict[str, Any]]:
    content = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {s: {"description": _MEANING[s], "content": content} for s in (*statuses, 400, 401, 413, 422, 429, 503)}


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


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _token(request: Request) -> Token:
    token: Token = request.state.token
    return token


With = Annotated[Service, Depends(_service)]
By = Annotated[Token, Depends(_token)]
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

router = APIRouter()
# The gate checks tokens before a body is read; the dependency says so in the OpenAPI document.
_guarded = APIRouter(prefix="/v1", dependencies=[Security(HTTPBearer(auto_error=False, description="ecm serve token"))])


@_guarded.post("/routes", status_code=201, response_model=Granted, responses=_says(403, 404, 409))
async def ask(asked: RouteAsked, service: With, token: By, key: Key = None) -> Response:
    """Decide on a chain and promise its bandwidth, in one step; the answer is on the disk before it is sent."""
    may_ask(token, asked.application)
    answer = await service.desk.do(orders.grant(asked, key))
    return Response(answer, status_code=201, media_type=JSON)


@_guarded.post("/routes/what-if", response_model=RouteDecision, responses=_says(403, 404))
async def what_if(asked: RouteAsked, service: With, token: By) -> Response:
    """Decide on a chain with what is free now, and promise nothing."""
    may_ask(token, asked.application)
    free = {load.tier: load.free_mbps for load in service.reader.loads()}
    return _json(service.desk.offer.decide(asked, lambda tier: free.get(tier, 0)))


@_guarded.get("/leases", response_model=LeasePage, responses=_says())
async def leases(
    service: With,
    token: By,
    after: Annotated[LeaseId | None, Query(description="Only leases with a higher id.")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = MOST,
) -> Response:
    """List the leases of the token's applications; an operator's token lists all."""
    found = service.reader.leases(service.clock(), applications=may_see(token), after=after or "", most=limit)
    return _json(LeasePage(leases=found, after=found[-1].id if len(found) == limit else None))


@_guarded.get("/leases/{lease_id}", response_model=Lease, responses=_says(404))
async def lease(lease_id: Id, service: With, token: By) -> Response:
    """Show one lease."""
    return _json(service.reader.lease(lease_id, service.clock(), applications=may_see(token)))


@_guarded.post("/leases/{lease_id}/renew", response_model=Lease, responses=_says(404, 409))
async def renew(lease_id: Id, asked: RenewalAsked, service: With, token: By) -> Response:
    """Let a lease live longer."""
    return _json(await service.desk.do(orders.renew(lease_id, asked.ttl_s, frozenset(token.applications))))


@_guarded.delete("/leases/{lease_id}", status_code=204, responses=_says(404))
async def release(lease_id: Id, service: With, token: By) -> Response:
    """Give a lease's bandwidth back."""
    await service.desk.do(orders.release(lease_id, frozenset(token.applications)))
    return Response(status_code=204)


@router.get("/metrics", include_in_schema=False)
async def metrics(service: With, token: By) -> Response:
    """Measures of this process and of the book, for Prometheus; for operators."""
    operator(token)
    page = service.measures.page(service.desk, service.reader.loads(), service.reader.counts(service.clock()))
    return Response(page, media_type=exposition.CONTENT_TYPE)


@router.get("/", include_in_schema=False)
async def status(service: With, token: By, after: LeaseId | None = None) -> Response:
    """Show chains, tiers, load and leases, for people; for operators."""
    operator(token)
    return Response(status_page(service, after or ""), media_type="text/html; charset=utf-8")


@router.get("/healthz", response_model=Health, responses={503: {"model": Problem, "description": _MEANING[503]}})
async def health(service: With) -> Response:
    """Whether the service answers: the book can be read and a plan is known."""
    service.reader.check()
    _ = service.desk.offer
    return _json(Health(status="ok"))


def _json(value: RouteDecision | LeasePage | Lease | Health) -> Response:
    return Response(value.model_dump_json(), media_type=JSON)


router.include_router(_guarded)
