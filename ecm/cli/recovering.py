"""What a killed run left: Pulumi's lock, operations that nobody knows the end of, resources that no state has."""

from __future__ import annotations

from typing import Any

from ecm.cli.exits import CommandError
from ecm.cli.owners import is_dead
from ecm.cli.runlog import RunLog
from ecm.cli.session import Session
from ecm.engine import CommandFailed, Stack, lock_holders
from ecm.model.links import Topic
from ecm.store import Entry, EntryKind, Store


def recover(session: Session, store: Store, stack: Stack, log: RunLog) -> bool:
    """Put right what a killed run left, and return whether there was one. Call it while holding the store's lock.

    A creation that was under way may have made its resource, which no state knows: it is removed, and made again by
    the next `up`. Changes and deletions under way are for the refresh of that `up`. CommandError when Pulumi's lock is
    held by a process that lives, or whose life cannot be seen from this machine.
    """
    torn = store.mend_journal(at=session.now(), who=session.who)
    if torn:
        log.say(
            "recover", "the end of the journal was no entry: it is kept beside it, and what it may have said is undone"
        )
    if not (torn or was_killed(store.journal())):
        return False
    for name in stack.mend_files():
        log.say("recover", f"deleted {name}, which a killed run had not written to its end; the state itself is whole")
    if not stack.exists():
        return False
    log.say("recover", "an earlier run was killed: looking for what it left")
    state = stack.state()
    pending = state.get("deployment", {}).pop("pending_operations", None) or []
    for text in _removed(session, state, pending):
        log.say("recover", f"removed {text}, which a killed run made and no state has")
    _put(stack, state, log)
    return True


def was_killed(journal: tuple[Entry, ...]) -> bool:
    """Whether the last `up` began and nobody wrote how it ended."""
    ends = (EntryKind.ATTEMPTED, EntryKind.APPLIED, EntryKind.FAILED, EntryKind.UNAVAILABLE)
    told = [entry.kind for entry in journal if entry.kind in ends]
    return bool(told) and told[-1] is EntryKind.ATTEMPTED


def _removed(session: Session, state: dict[str, Any], pending: list[dict[str, Any]]) -> tuple[str, ...]:
    if not pending:
        return ()
    from ecm.aws import Creation, open_session, remove_leftovers  # noqa: PLC0415 - boto3 only where AWS is asked

    known = frozenset(str(r["id"]) for r in state.get("deployment", {}).get("resources", ()) if r.get("id"))
    begun = tuple(
        Creation(type=p["resource"]["type"], inputs=p["resource"].get("inputs") or {})
        for p in pending
        if p["type"] == "creating"
    )
    return remove_leftovers(open_session(session.settings.region or ""), session.stack, begun, known)


def _put(stack: Stack, state: dict[str, Any], log: RunLog) -> None:
    """Put the state in its place, over the lock of a dead process of this machine if need be.

    Also where nothing was under way: putting it is what tells of a lock.
    """
    try:
        stack.set_state(state)
    except CommandFailed as error:
        holders = lock_holders(str(error))
        if not holders:
            raise
        for holder in holders:
            if not is_dead(holder.host, holder.pid):
                raise CommandError(
                    f"stack {stack.name} is locked by {holder.who}@{holder.host} (process {holder.pid})\n"
                    "    Wait for it; if it is dead, run: pulumi cancel",
                    topic=Topic.LOCKED,
                ) from None
        stack.release()
        log.say("recover", f"released Pulumi's lock of process {holders[0].pid}, which is dead")
        stack.set_state(state)
