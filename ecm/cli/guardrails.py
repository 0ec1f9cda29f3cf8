"""The policy pack of the project: run with every preview and up, and what it found."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import ecm.guardrails
from ecm.cli.exits import Code, CommandError
from ecm.cli.session import Session
from ecm.cli.standing import Standing
from ecm.engine import Outcome, PolicyPack, Violation
from ecm.model.base import digest_bytes

PACK: Final = Path("policies/guardrails")
_LINES: Final = 20


def guardrails(session: Session, stands: Standing) -> tuple[PolicyPack, ...]:
    """Return the pack, told what stands; CommandError where it is missing: nothing goes ahead unguarded."""
    folder = session.root / PACK
    if not (folder / "PulumiPolicy.yaml").is_file():
        raise CommandError(f"{PACK} is missing in {session.root}\n    Restore it from the project's repository")
    standing = sorted({key.partition("#")[0] for key in stands.outputs.get("nodes", {})})
    return (PolicyPack(folder, {"scale-step": {"standing": standing}}),)


def pack_digest(root: Path) -> str | None:
    """Return one digest of the pack's files and of the rules that it runs, by name and content; None without a pack."""
    pack = [p for p in (root / PACK).glob("*") if p.suffix in (".py", ".yaml")]
    if not pack:
        return None
    rules = Path(ecm.guardrails.__file__).parent.glob("*.py")
    named = sorted((f"{p.parent.name}/{p.name}", p) for p in (*pack, *rules))
    return digest_bytes(b"".join(f"{name} {digest_bytes(p.read_bytes())}\n".encode() for name, p in named))


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
    lines = [f"    {v.policy}: {_where(v)}{' '.join(v.message.split())}" for v in found[:_LINES]]
    if len(found) > _LINES:
        lines.append(f"    and {len(found) - _LINES} more")
    many = f"{len(found)} times" if len(found) > 1 else "once"
    raise CommandError(f"the guardrails are broken {many} ({PACK}):\n" + "\n".join(lines), Code.REFUSED)


def _where(violation: Violation) -> str:
    kind, _, name = violation.urn.rpartition("::")
    if not name or kind.endswith("pulumi:pulumi:Stack"):
        return ""
    return f"{kind.rpartition('$')[2].rpartition(':')[2]} {name}: "
