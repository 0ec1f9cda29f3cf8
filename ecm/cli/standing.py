"""What stands: the stack's outputs, the plan that is applied, and one that was begun and not finished."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ecm.cli.exits import CommandError
from ecm.cli.session import Session
from ecm.engine import CommandFailed, MissingPulumi, Stack
from ecm.model.base import Region
from ecm.model.observed import Observed
from ecm.model.plan import Plan
from ecm.store import Store

_NOT_SIGNED_IN: Final = 3
"""Pulumi's exit code for a failed authentication."""


@dataclass(frozen=True)
class Standing:
    """The world that the next plan starts from."""

    outputs: dict[str, Any]
    applied: str | None
    """Digest of the plan that is applied: by the stack's own output, or by the journal where the stack is not asked."""
    asked: bool
    """Whether the stack itself was asked."""
    previous: Plan | None
    """The plan whose nodes stand: the applied one, or the one that was begun on it."""
    observed: Observed | None = None

    @property
    def unfinished(self) -> bool:
        """Whether `previous` was begun and did not end."""
        return self.previous is not None and self.previous.digest != self.applied


def engine_stack(session: Session) -> Stack:
    """Return the Pulumi stack; MissingPulumi when this machine has no toolchain."""
    return session.edges.engine(session.root, session.stack, session.env)


@contextmanager
def signed_in() -> Iterator[None]:
    """Say in one sentence that Pulumi has no backend to ask."""
    try:
        yield
    except CommandFailed as error:
        if error.exit_code != _NOT_SIGNED_IN:
            raise
        raise CommandError(
            "Pulumi is not signed in to a backend\n"
            "    Run pulumi login, or set PULUMI_BACKEND_URL (such as file://$HOME/.pulumi-state) and a passphrase;\n"
            "    plan, approve, review and status also take --offline and go by the journal"
        ) from None


def ask_stack(session: Session, store: Store) -> Standing:
    """Return what stands by the stack's own outputs; MissingPulumi or another EngineError when it cannot be asked."""
    stack = engine_stack(session)
    with signed_in():
        outputs = stack.outputs() if stack.exists() else {}
    applied = outputs.get("planDigest")
    return Standing(outputs, applied, asked=True, previous=_previous(store, applied))


def from_journal(store: Store) -> Standing:
    """Return what stands by the journal alone."""
    entry = store.last_applied()
    applied = entry.plan if entry else None
    return Standing({}, applied, asked=False, previous=_previous(store, applied))


def standing(session: Session, store: Store, *, offline: bool) -> Standing:
    """Return what stands: by the stack where it can be asked, else, with a note, by the journal."""
    if offline:
        return from_journal(store)
    try:
        return ask_stack(session, store)
    except MissingPulumi as error:
        session.note(f"{error}. What is applied is taken from the journal.")
        return from_journal(store)


def observed(session: Session, store: Store, stands: Standing, at: tuple[Region, datetime]) -> Observed | None:
    """Return a snapshot of what runs, or None where nothing can run yet or the stack was not asked.

    `at` is the fleet's region and the time. AwsError when AWS cannot be asked.
    """
    region, taken_at = at
    marks = store.unavailable(taken_at)
    if not stands.asked or stands.previous is None:
        return (
            Observed(stack=session.stack, taken_at=taken_at, applied=stands.applied, unavailable=marks)
            if marks
            else None
        )
    outputs = {"region": region, **stands.outputs}
    before = store.observed()
    return session.edges.observe(outputs, stack=session.stack, taken_at=taken_at, unavailable=marks, previous=before)


def _previous(store: Store, applied: str | None) -> Plan | None:
    """Return the plan that was begun on the applied one where there is one, else the applied one.

    An `up` that failed half-way leaves nodes of its plan: the next plan goes on from them.
    """
    attempt = store.attempted()
    if attempt is not None and attempt.plan != applied:
        begun = store.plan(attempt.plan)
        if begun.basis == applied:
            return begun
    return store.plan(applied) if applied else None
