"""Running the routing service: the applied plan from the store, the ways in, and its tokens."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.table import Table

from ecm import intent, pipeline
from ecm.cli.exits import Code, CommandError
from ecm.cli.publishing import publication_of
from ecm.cli.session import Session
from ecm.routing.request import open_to
from ecm.serve.app import make_app
from ecm.serve.database import Place
from ecm.serve.listen import Way, listen
from ecm.serve.offer import Offer, Terms
from ecm.serve.place import place_of
from ecm.serve.service import Settings
from ecm.serve.tokens import Token, Tokens


def check(way: Way, *, behind_proxy: bool) -> None:
    """CommandError where tokens would cross a network in the clear, or a file for TLS is missing."""
    if (way.tls_cert is None) != (way.tls_key is None):
        raise CommandError("--tls-cert and --tls-key belong together", Code.USAGE)
    if way.client_ca is not None and way.tls_cert is None:
        raise CommandError("--client-ca needs --tls-cert and --tls-key", Code.USAGE)
    if way.tls_cert is None and not behind_proxy and not _is_loopback(way.host):
        raise CommandError(
            f"--host {way.host} without TLS: tokens would cross the network in the clear\n"
            "    Give --tls-cert and --tls-key, or --behind-proxy where TLS ends before this service",
            Code.USAGE,
        )
    for path in (way.tls_cert, way.tls_key, way.client_ca):
        if path is not None and not path.is_file():
            raise CommandError(f"{path}: no such file", Code.USAGE)


def book_of(session: Session, given: str | None) -> Place:
    """Return where the lease book is."""
    return place_of(given or str(session.root / ".ecm" / "serve" / f"{session.stack}.db"))


@dataclass(frozen=True)
class Serving:
    """How a process serves."""

    rate: float
    refresh: float
    publish: str | None


def serve(session: Session, place: Place, way: Way, how: Serving) -> None:
    """Serve from the lease book at `place` until interrupted; CommandError where there is nothing to serve from."""
    publication = publication_of(session, how.publish)
    offers = offers_of(session)
    offer = offers()
    settings = Settings(place, session.stack, precise_time, offers, how.refresh, how.rate, publication)
    app = make_app(settings)
    session.note(f"serving the routes of {session.stack} on {way.url}, plan {offer.digest[:19]}, book {place}")
    listen(app, way)


def offers_of(session: Session) -> Callable[[], Offer]:
    """Return what reads the offer of the applied plan, again only where another was applied since."""
    last: list[Offer] = []

    def read() -> Offer:
        store = session.store()
        entry = store.last_applied()
        if entry is None or entry.plan is None:
            raise CommandError(f"no plan of {session.stack} is applied yet; run: ecm up --stack {session.stack}")
        if not last or last[0].applied != entry.number:
            written = intent.load(session.root, session.stack)
            plan = store.plan(entry.plan)
            profiles = {p.id: p for p in written.qos.profiles}
            states = pipeline.chain_states(plan, written)
            terms = {
                a.id: Terms(profiles[a.profile], open_to(a, states, written.limits)) for a in written.fleet.applications
            }
            last[:] = [Offer(applied=entry.number, plan=plan, states=states, terms=terms)]
        return last[0]

    return read


def precise_time() -> datetime:
    """Return the time as leases count it."""
    return datetime.now(UTC)  # noqa: TID251 - an entry point reads the clock


def make_token(session: Session, place: Place, wanted: Token) -> str:
    """Keep a token and return the text that its bearer sends; CommandError where the fleet has no such application."""
    known = {a.id for a in intent.load(session.root, session.stack).fleet.applications}
    for name in wanted.applications:
        if name not in known:
            raise CommandError(f"--application {name}: not in the fleet; there is: {', '.join(sorted(known))}")
    if not wanted.applications and not wanted.operator:
        raise CommandError("for whom? Give --application NAME (more than once if need be) or --operator", Code.USAGE)
    with closing(Tokens(place, session.stack)) as tokens:
        return tokens.make(wanted)


def wanted_token(session: Session, applications: tuple[str, ...], days: int, *, operator: bool, who: str) -> Token:
    """Return a token that is not kept yet."""
    now = session.now()
    ends = now + timedelta(days=days)
    return Token(id="", applications=applications, operator=operator, made_at=now, expires_at=ends, who=who)


def list_tokens(session: Session, place: Place) -> tuple[Token, ...]:
    """Return every token, the oldest first."""
    with closing(Tokens(place, session.stack)) as tokens:
        return tuple(held.token for held in tokens.held().values())


def revoke(session: Session, place: Place, number: str) -> None:
    """Remove a token; UnknownError where there is none of this id."""
    with closing(Tokens(place, session.stack)) as tokens:
        tokens.revoke(number)


def show(out: Console, tokens: tuple[Token, ...], now: datetime) -> None:
    """Print tokens; none of their secrets is known here."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "for", "applications", "made", "expires"):
        table.add_column(column)
    for token in tokens:
        allowed = ", ".join((*token.applications, *(["everything, to see"] if token.operator else [])))
        ends = f"{token.expires_at:%Y-%m-%d}" + (" (expired)" if token.expires_at <= now else "")
        table.add_row(token.id, token.who, allowed, f"{token.made_at:%Y-%m-%d}", ends)
    out.print(table)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
