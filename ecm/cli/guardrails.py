"""The policy pack of the project: run with every preview and up, and what it found."""

from __future__ import annotations

from collections import Counter
from typing import Final

from ecm.cli.exits import Code, CommandError
from ecm.cli.session import Session
from ecm.cli.standing import Standing
from ecm.engine import Outcome, PolicyPack, Violation
from ecm.intent import PACK
from ecm.model.links import link

_LINES: Final = 20


def guardrails(session: Session, stands: Standing) -> tuple[PolicyPack, ...]:
    """Return the pack, told what stands; CommandError where it is missing: nothing goes ahead unguarded."""
    folder = session.root / PACK
    if not (folder / "PulumiPolicy.yaml").is_file():
        raise CommandError(f"{PACK} is missing in {session.root}\n    Restore it from the project's repository")
    standing = sorted({key.partition("#")[0] for key in stands.outputs.get("nodes", {})})
    return (PolicyPack(folder, {"scale-step": {"standing": standing}}),)


def broken(outcome: Outcome) -> tuple[Violation, ...]:
    """Return the mandatory violations."""
    return tuple(v for v in outcome.violations if v.enforcement == "mandatory")


def unjudged(outcome: Outcome) -> str:
    """Say which rules a preview could not judge, because a value is known only when its resource exists; or nothing."""
    counts = Counter(v.policy for v in outcome.violations if v.enforcement != "mandatory")
    if not counts:
        return ""
    named = ", ".join(f"{policy} on {count}" for policy, count in sorted(counts.items()))
    return f"not judged before the resources exist: {named}; `up` judges each before it makes the resource"


def refuse_broken(outcome: Outcome) -> None:
    """Raise CommandError with every mandatory violation, if there is one."""
    found = broken(outcome)
    if not found:
        return
    lines = [f"    {v.policy}: {_where(v)}{' '.join(v.message.split())} ({link(v.policy)})" for v in found[:_LINES]]
    if len(found) > _LINES:
        lines.append(f"    and {len(found) - _LINES} more")
    many = f"{len(found)} times" if len(found) > 1 else "once"
    raise CommandError(f"the guardrails are broken {many} ({PACK}):\n" + "\n".join(lines), Code.REFUSED)


def _where(violation: Violation) -> str:
    kind, _, name = violation.urn.rpartition("::")
    if not name or kind.endswith("pulumi:pulumi:Stack"):
        return ""
    return f"{kind.rpartition('$')[2].rpartition(':')[2]} {name}: "
