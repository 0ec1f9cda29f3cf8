"""What each request does: a decision on what is free at that moment, and the lease on it, in one transaction."""

from __future__ import annotations

from datetime import timedelta

from ecm.model.base import digest_bytes
from ecm.model.request import RouteDecision
from ecm.serve.answers import RefusedError, RouteAsked
from ecm.serve.book import NO_LEASE, Answered, Writing
from ecm.serve.desk import Order
from ecm.serve.errors import KeyReusedError, NoRoomError, UnknownError
from ecm.serve.lease import Lease, moment
from ecm.serve.offer import Offer


def grant(asked: RouteAsked, key: str | None) -> Order[str]:
    """Return the order that decides `asked` and writes its lease; its answer is a Granted as JSON.

    The same idempotency key and request get the same answer again, KeyReusedError another request. RefusedError where
    no chain meets the request: that is not remembered, so the same key may try again.
    """
    asked_digest = digest_bytes(asked.model_dump_json().encode())

    def order(writing: Writing, offer: Offer) -> str:
        if key is not None and (before := writing.answered(asked.application, key)) is not None:
            if before.asked != asked_digest:
                raise KeyReusedError(f"the key {key!r} came with another request before; use a new one")
            return before.answer
        decision = offer.decide(asked, writing.free)
        lease = _lease(asked, decision, writing, offer)
        # Put together from what the book keeps: a Granted, without validating and writing the lease a second time.
        answer = f'{{"lease":{writing.add(lease)},"decision":{decision.model_dump_json()}}}'
        if key is not None:
            writing.remember(asked.application, key, Answered(asked_digest, answer), lease)
        return answer

    return order


def renew(lease_id: str, ttl_s: int, applications: frozenset[str]) -> Order[Lease]:
    """Return the order that lets a lease of one of `applications` live until `ttl_s` from now.

    UnknownError where there is none. NoRoomError where the applied plan no longer has its chain, or has less room than
    is promised: ask for a new route then.
    """

    def order(writing: Writing, offer: Offer) -> Lease:
        lease = _own(writing, lease_id, applications)
        if offer.tiers(lease.vpn, lease.chain) != lease.tiers:
            raise NoRoomError(f"the applied plan has no chain {lease.chain} as it was promised; ask for a new route")
        expires = moment(writing.now_ms) + timedelta(seconds=ttl_s)
        longer = lease.model_copy(update={"expires_at": expires, "renewed": lease.renewed + 1})
        writing.renew(longer)
        return longer

    return order


def release(lease_id: str, applications: frozenset[str]) -> Order[None]:
    """Return the order that takes a lease of one of `applications` back; UnknownError where there is none."""

    def order(writing: Writing, _offer: Offer) -> None:
        writing.release(_own(writing, lease_id, applications))

    return order


def _own(writing: Writing, lease_id: str, applications: frozenset[str]) -> Lease:
    lease = writing.lease(lease_id)
    if lease.application not in applications:
        raise UnknownError(NO_LEASE.format(lease_id))
    return lease


def _lease(asked: RouteAsked, decision: RouteDecision, writing: Writing, offer: Offer) -> Lease:
    if decision.chain is None:
        raise RefusedError(decision, decision.relaxation)
    entry, mark = offer.way(asked.application, decision.chain, decision.traffic_class)
    made = moment(writing.now_ms)
    return Lease(
        id=writing.new_id(),
        application=asked.application,
        vpn=asked.vpn,
        chain=decision.chain,
        tiers=offer.tiers(asked.vpn, decision.chain),
        bandwidth_mbps=decision.bandwidth_mbps,
        entry=entry,
        traffic_class=decision.traffic_class,
        mark=mark,
        source=asked.source,
        destinations=asked.destinations,
        ports=asked.ports,
        plan=offer.rooms.plan,
        made_at=made,
        expires_at=made + timedelta(seconds=asked.ttl_s),
    )
