"""A simulated account: an engine that makes every plan so at once, nodes that serve after the lead of the limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ecm.cli.edges import Edges
from ecm.cli.settings import read_settings
from ecm.engine import Options, Outcome, Stack
from ecm.engine.stack import Listener
from ecm.engine.toolchain import Toolchain
from ecm.model.observed import (
    Health,
    InstanceState,
    Observed,
    ObservedConfig,
    ObservedNode,
    ObservedRecord,
    ObservedRoute,
    Unavailable,
)
from ecm.model.plan import Plan
from ecm.model.policy import Limits
from ecm.store import open_store

Key = tuple[str, int]
"""Slot and generation of a node."""


@dataclass
class Account:
    """What stands, and when each of its nodes was launched."""

    root: Path
    stack: str
    limits: Limits
    at: datetime
    applied: Plan | None = None
    launched: dict[Key, datetime] = field(default_factory=dict)
    ups: list[tuple[datetime, str]] = field(default_factory=list)
    """Moment and digest of every plan that was applied."""

    @property
    def edges(self) -> Edges:
        """The account, and its clock, as what is outside of a command."""
        return Edges(clock=lambda: self.at, engine=self._engine, observe=self._observe)

    def apply(self) -> None:
        """Make the approved plan so."""
        approved = read_settings(self.root, self.stack).approved
        if approved is None:
            raise ValueError("an `up` without an approved plan")
        plan = open_store(".ecm/store", stack=self.stack, root=self.root).plan(approved)
        keys = [(slot.id, node.generation) for tier in plan.desired.tiers for slot in tier.slots for node in slot.nodes]
        self.launched = {key: self.launched.get(key, self.at) for key in keys}
        self.applied = plan
        self.ups.append((self.at, approved))

    def _engine(self, root: Path, stack: str, env: Mapping[str, str]) -> Stack:
        return RecordedStack(Toolchain(Path("recorded"), None, "0"), root, stack, env, self)

    def _observe(
        self,
        outputs: Mapping[str, Any],
        *,
        stack: str,
        taken_at: datetime,
        unavailable: tuple[Unavailable, ...] = (),
        previous: Observed | None = None,
    ) -> Observed:
        del previous
        plan = self.applied
        slots = [
            (slot, node) for tier in (plan.desired.tiers if plan else ()) for slot in tier.slots for node in slot.nodes
        ]
        return Observed(
            stack=stack,
            taken_at=taken_at,
            applied=outputs.get("planDigest"),
            nodes=tuple(
                self._node(slot.id, node.generation, node.shape, slot.zone) for slot, node in sorted(slots, key=_key)
            ),
            routes=(
                ObservedRoute(
                    name="internet", route_table="rtb-1", destination="0.0.0.0/0", target="igw-1", state="active"
                ),
            ),
            records=tuple(
                ObservedRecord(name=vpn.host, type="A", values=("recorded",))
                for vpn in (plan.desired.vpns if plan else ())
                if vpn.host is not None
            ),
            configs=tuple(ObservedConfig(key=c.key, digest=c.digest) for c in (plan.configs if plan else ())),
            unavailable=unavailable,
        )

    def _node(self, slot: str, generation: int, shape: str, zone: str) -> ObservedNode:
        lead = self.limits.lead
        serves = self.launched[slot, generation] + timedelta(
            minutes=lead.up_min + lead.boot_to_healthy_min + lead.registration_min + lead.mesh_join_min
        )
        well = self.at >= serves
        return ObservedNode(
            slot=slot,
            generation=generation,
            instance_id=f"i-{slot.replace('/', '-')}-{generation}",
            shape=shape,
            zone=zone,
            state=InstanceState.RUNNING,
            health=Health.HEALTHY if well else Health.NEW,
            healthy_since=serves if well else None,
            launched_at=self.launched[slot, generation],
            source_dest_check=False,
            registered=True,
        )


def _key(pair: tuple[Any, Any]) -> Key:
    return pair[0].id, pair[1].generation


@dataclass(frozen=True)
class RecordedStack(Stack):
    """Pulumi's place: a preview finds nothing else than the plan, an `up` makes it so at once."""

    account: Account

    def exists(self) -> bool:
        """Whether something was applied."""
        return self.account.applied is not None

    def outputs(self) -> dict[str, Any]:
        """Return what the program exports, as far as commands read it."""
        plan = self.account.applied
        if plan is None:
            return {}
        return {
            "planDigest": plan.digest,
            "nodes": {f"{slot}#{generation}": {} for slot, generation in self.account.launched},
        }

    def preview(self, options: Options | None = None, *, on_progress: Listener | None = None) -> Outcome:  # noqa: ARG002 - Stack has it
        """Find nothing beside the plan."""
        return Outcome(command="preview", exit_code=0, result="succeeded")

    def drift(self, *, on_progress: Listener | None = None) -> Outcome:  # noqa: ARG002 - Stack has it
        """Find none."""
        return Outcome(command="refresh", exit_code=0, result="succeeded")

    def up(self, options: Options | None = None, *, on_progress: Listener | None = None) -> Outcome:  # noqa: ARG002 - Stack has it
        """Make the approved plan so."""
        before = set(self.account.launched)
        self.account.apply()
        made, gone = len(self.account.launched.keys() - before), len(before - self.account.launched.keys())
        return Outcome(command="up", exit_code=0, result="succeeded", counts=(("create", made), ("delete", gone)))

    def select(self, *, create: bool = False) -> None:
        """There is but one."""
