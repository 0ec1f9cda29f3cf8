"""What the service is asked and what it answers, as the OpenAPI document has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import Field
from starlette.responses import Response

from ecm.model.base import Frozen, Text
from ecm.model.request import RouteDecision, RouteRequest
from ecm.serve.errors import BusyError, ServeError, TooManyError
from ecm.serve.lease import Lease, LeaseId

LONGEST_S: Final = 86_400
"""A promise of more than a day is standing traffic, which belongs into the fleet file."""
Ttl = Annotated[int, Field(ge=1, le=LONGEST_S)]
"""Seconds that a lease lives."""
IDEMPOTENCY_KEY: Final = r"^[\x21-\x7e]{1,255}$"
PROBLEM: Final = "application/problem+json"


class RouteAsked(RouteRequest):
    """A request for a route and a lease on it."""

    ttl_s: Ttl = 3600


class RenewalAsked(Frozen):
    """A request to let a lease live longer: its new expiry is so long from now."""

    ttl_s: Ttl = 3600


class Granted(Frozen):
    """A lease and the decision that it rests on."""

    lease: Lease
    decision: RouteDecision


class LeasePage(Frozen):
    """Leases by id, which is the order in which they were made."""

    leases: tuple[Lease, ...]
    after: LeaseId | None
    """Give this as `after` to read on; none: that was all."""


class Problem(Frozen):
    """Why a request was refused (RFC 9457)."""

    title: Text
    status: int
    detail: str
    decision: RouteDecision | None = None
    """Where no chain meets a request: each chain and the requirement that it failed, and the cheapest relaxation."""


class Health(Frozen):
    """Whether the service can answer."""

    status: Text


class RefusedError(ServeError):
    """No chain meets the request as things stand."""

    status = 409
    title = "no chain meets the request"

    def __init__(self, decision: RouteDecision, detail: str) -> None:
        super().__init__(detail)
        self.decision = decision


def problem(error: ServeError, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer that `error` is."""
    decision = error.decision if isinstance(error, RefusedError) else None
    said = Problem(title=error.title, status=error.status, detail=str(error), decision=decision)
    more = {"Retry-After": "1"} if isinstance(error, BusyError | TooManyError) else {}
    return Response(
        said.model_dump_json(exclude={"decision"} if decision is None else None),
        status_code=error.status,
        media_type=PROBLEM,
        headers={**more, **(headers or {})},
    )
