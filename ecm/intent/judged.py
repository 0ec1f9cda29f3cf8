"""What a plan is judged by: digests of the policies and of the guardrails that run, and versions."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Final

import ecm
from ecm.intent.load import load
from ecm.model.base import digest, digest_bytes
from ecm.model.plan import Content

PACK: Final = Path("policies/guardrails")
RULES: Final = Path(ecm.__file__).parent / "guardrails"
"""What the pack runs."""
_DECLARING: Final = ("pulumi", "pulumi-aws")
"""Libraries that turn the same plan into other resources when they change; what renders shows in the rendered bytes."""


def content(root: Path, stack: str) -> Content:
    """Return what a plan of `stack` would be judged by now; IntentError when a file is missing or wrong."""
    stands = load(root, stack)
    return Content(
        qos=digest(stands.qos),
        security=digest(stands.security),
        limits=digest(stands.limits),
        catalog=digest(stands.catalog),
        guardrails=pack_digest(root),
        ecm_version=ecm.__version__,
        libraries=libraries(),
    )


def pack_digest(root: Path) -> str | None:
    """Return one digest of the pack's files and of the rules that it runs, by name and content; None without a pack."""
    pack = [p for p in (root / PACK).glob("*") if p.suffix in (".py", ".yaml")]
    if not pack:
        return None
    named = sorted((f"{p.parent.name}/{p.name}", p) for p in (*pack, *RULES.glob("*.py")))
    return digest_bytes(b"".join(f"{name} {digest_bytes(p.read_bytes())}\n".encode() for name, p in named))


def libraries() -> str:
    """Return the installed versions of what declares resources, such as "pulumi 3.1.0, pulumi-aws 7.0.0"."""
    installed = {d.name: d.version for name in _DECLARING for d in metadata.Distribution.discover(name=name)}
    return ", ".join(f"{name} {installed[name]}" for name in _DECLARING if name in installed)
