"""One request against one plan: what `ecm route` decides by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ecm import intent, pipeline
from ecm.cli.exits import Code, CommandError
from ecm.cli.session import Session
from ecm.intent import Intent
from ecm.model.fleet import Application, next_by_id
from ecm.model.plan import Plan
from ecm.model.request import ChainState, RouteDecision, RouteRequest
from ecm.routing.request import choose, open_to


@dataclass(frozen=True)
class Answer:
    """A request, the decision, and what the chains offered by which plan."""

    asked: RouteRequest
    decision: RouteDecision
    states: tuple[ChainState, ...]
    digest: str


def request_of(written: Intent, source: str | Path, given: Mapping[str, object]) -> RouteRequest:
    """Return the request of an application or a file, with what was `given` on the line laid over it.

    CommandError for an application that the fleet does not have, or has in another VPN, and for a value that cannot be.
    """
    if isinstance(source, Path):
        asked = intent.load_request(source)
    else:
        asked = RouteRequest(application=(one := _application(written, source)).id, vpn=one.vpn)
    application = _application(written, asked.application)
    if application.vpn != asked.vpn:
        raise CommandError(
            f"application {application.id} belongs to VPN {application.vpn}, not {asked.vpn}\n    Correct `vpn`",
            Code.USAGE,
        )
    try:
        return RouteRequest.model_validate({**asked.model_dump(), **given})
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        where = "--" + ".".join(str(part) for part in wrong["loc"]).replace("_", "-")
        raise CommandError(f"{where}: {wrong['msg']}\n    See: ecm route --help", Code.USAGE) from None


def answer(session: Session, written: Intent, asked: RouteRequest, plan: str) -> Answer:
    """Decide `asked` by the plan called `plan`, by the applied one where none is named; CommandError without one."""
    digest, standing = plan_of(session, plan)
    application = _application(written, asked.application)
    profile = next(p for p in written.qos.profiles if p.id == application.profile)
    ours = (state for state in pipeline.chain_states(standing, written) if state.vpn == asked.vpn)
    states = open_to(application, ours, written.limits)
    return Answer(asked, choose(asked, profile, states), states, digest)


def plan_of(session: Session, name: str) -> tuple[str, Plan]:
    """Return the plan called `name` with its digest, the applied one where none is named; CommandError without one."""
    store = session.store()
    if name:
        digest = store.find_plan(name)
        return digest, store.plan(digest)
    entry = store.last_applied()
    if entry is None or entry.plan is None:
        raise CommandError(
            f"no plan of {session.stack} is applied yet\n"
            f"    Name one with --plan (`latest`: the newest), or run: ecm up --stack {session.stack}"
        )
    return entry.plan, store.plan(entry.plan)


def _application(written: Intent, name: str) -> Application:
    try:
        return next_by_id(written.fleet.applications, name)
    except KeyError:
        known = ", ".join(sorted(a.id for a in written.fleet.applications))
        message = f"application {name!r} is not in the fleet file\n    Known: {known}"
        raise CommandError(message, Code.USAGE) from None
