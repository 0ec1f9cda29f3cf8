"""The proof that adopting changes nothing: the import list in a state that is thrown away, and a preview on it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ecm import intent
from ecm.adopt.imports import adopted_resources
from ecm.cli.exits import CommandError
from ecm.cli.progress import engine_progress
from ecm.cli.session import Session
from ecm.cli.settings import reviewed_text
from ecm.engine import Outcome, Stack, locate
from ecm.model.fleet import Fleet

_PROGRAM: Final = '''"""Declares what a fleet file adopts, and nothing else."""

from pathlib import Path

import pulumi

from ecm import infra, intent

infra.adopt(intent.load(Path(__file__).resolve().parent, pulumi.get_stack()).fleet.network)
'''
_OWN: Final = "pulumi:pulumi:Stack"


@dataclass(frozen=True)
class Written:
    """The files of an adoption."""

    fleet: str
    imports: str
    config: str
    """Of the stack, `stacks/Pulumi.<stack>.yaml`."""


@dataclass(frozen=True)
class Proof:
    """What the engine said."""

    fleet: Fleet
    adopted: int
    """Resources that the preview showed unchanged."""
    differences: tuple[str, ...]


def stack_config(session: Session, region: str) -> str:
    """Return the stack's configuration as it stands, else the least that it needs."""
    if session.settings.path.is_file():
        return reviewed_text(session.root, session.stack, None, new=True)
    return f"config:\n  aws:region: {region}\n"


def prove(session: Session, written: Written) -> Proof:
    """Return what a preview on the imported resources shows.

    CommandError where the import fails, IntentError where the fleet file does not fit the policies, EngineError where
    the engine cannot be used. AWS is only read, and the state is gone afterwards.
    """
    with _project(session, written) as stack:
        fleet = intent.load(stack.project, stack.name).fleet
        _adopted(fleet)
        stack.select(create=True)
        with engine_progress(session.err, "adopt: import") as listen:
            imported = stack.import_listed(stack.project / "import.json", on_progress=listen)
        if not imported.ok:
            raise CommandError(f"the import list could not be imported:\n{_said(imported)}")
        with engine_progress(session.err, "adopt: preview") as listen:
            outcome = stack.preview(on_progress=listen)
    if not outcome.ok:
        raise CommandError(f"the preview of what is adopted failed:\n{_said(outcome)}")
    return judged(fleet, outcome)


def judged(fleet: Fleet, outcome: Outcome) -> Proof:
    """Hold the preview against what the fleet adopts: each resource must be there, and the same."""
    same = {(s.type, s.name) for s in outcome.steps if s.op == "same"}
    changed = {
        (s.type, s.name): f"{s.name} ({s.type}): {s.op} {_properties(s.replace_keys, s.diff)}".rstrip()
        for s in outcome.changes
        if s.type != _OWN
    }
    wanted = _adopted(fleet)
    missing = {key: f"{key[1]} ({key[0]}): is not in the preview" for key in wanted if key not in same}
    found = {**missing, **changed}
    return Proof(fleet, sum(key in same for key in wanted), tuple(found[key] for key in sorted(found)))


def _adopted(fleet: Fleet) -> tuple[tuple[str, str], ...]:
    network = fleet.network
    if network.adopted is None or network.vpc_id is None or network.internet_gateway_id is None:
        raise CommandError(f"stacks/{fleet.stack}.fleet.yaml: network.adopted is missing: nothing is adopted")
    return adopted_resources((network.vpc_id, network.internet_gateway_id), network.adopted)


def _properties(replaced: tuple[str, ...], differing: tuple[str, ...]) -> str:
    return ", ".join(dict.fromkeys((*replaced, *differing)))


def _said(outcome: Outcome) -> str:
    return "\n".join(f"    {d.message}" for d in outcome.errors[:5]) or f"    {outcome.output[-2000:]}"


@contextmanager
def _project(session: Session, written: Written) -> Iterator[Stack]:
    """Yield a stack of the same name in a project and a backend that are thrown away."""
    toolchain = locate(session.env)
    with tempfile.TemporaryDirectory(prefix="ecm-adopt-") as held:
        folder = Path(held)
        shutil.copy(session.root / "Pulumi.yaml", folder / "Pulumi.yaml")
        for name in ("policies", ".venv"):
            if (session.root / name).exists():
                (folder / name).symlink_to(session.root / name)
        (folder / "stacks").mkdir()
        (folder / "state").mkdir()
        for name, text in (
            ("__main__.py", _PROGRAM),
            (f"stacks/{session.stack}.fleet.yaml", written.fleet),
            (f"stacks/Pulumi.{session.stack}.yaml", written.config),
            ("import.json", written.imports),
        ):
            (folder / name).write_text(text, encoding="utf-8")
        own = {"PULUMI_BACKEND_URL": f"file://{folder / 'state'}", "PULUMI_CONFIG_PASSPHRASE": "thrown away"}
        env = {k: v for k, v in session.env.items() if k != "PULUMI_CONFIG_PASSPHRASE_FILE"}
        yield Stack(toolchain, folder, session.stack, {**env, **own})
