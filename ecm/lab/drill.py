"""What happens to the traffic when a node dies, freezes, is cut off, is drained, or comes back."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from ecm.lab.errors import LabError
from ecm.lab.flows import carried
from ecm.lab.kernel import survey
from ecm.lab.recording import Loss, Packets, between, losses, open_recording
from ecm.lab.shares import Share, senders, shares_of
from ecm.lab.state import Condition, Folder, Lab, nodes, runs
from ecm.lab.traffic import now, routes
from ecm.lab.underlay import Underlay
from ecm.lab.world import World, with_condition
from ecm.model.base import Frozen
from ecm.model.fleet import Role
from ecm.model.plan import Desired, NodeState


class How(StrEnum):
    """What a drill does to a node."""

    KILL = "kill"
    FREEZE = "freeze"
    PARTITION = "partition"
    CORDON = "cordon"
    RETURN = "return"


_AFTER: Final = {
    How.KILL: Condition.KILLED,
    How.FREEZE: Condition.FROZEN,
    How.PARTITION: Condition.PARTITIONED,
    How.CORDON: Condition.CORDONED,
    How.RETURN: Condition.UP,
}
_SETTLE_S: Final = 2.0
"""Packets that are sent this shortly before the end of the watch may still be on their way."""


class Result(Frozen):
    """What a drill has shown."""

    how: How
    node: str
    tier: str
    role: Role
    mode: str
    """Of the load balancer."""
    flows: int
    """All that the lab carries."""
    carried: int
    """Those that went through the node."""
    loss_window_s: float
    """From the first lost packet to the last, over all of the node's flows, at the receivers."""
    flow_p50_s: float
    """Median of the windows of the node's flows that lost something."""
    flow_p95_s: float
    redistribute_s: float
    """From the event to the last lost packet of the node's flows."""
    lost: int
    sent: int
    """By all flows, while it was watched."""
    other_lost: int
    """Packets of flows that went through the other nodes of the tier when it happened."""
    other_sent: int
    shares: tuple[Share, ...]
    unassisted_s: float | None
    """The loss window of unassisted clients' flows; none: the node carried none of them."""
    assisted_s: float | None
    """The same of assisted clients."""
    share_error_pct: float | None
    """Largest difference between what a node took of the moved flows and what the weights say, in per cent of them;
    none: too few moved to tell."""

    @property
    def other_lost_pct(self) -> float:
        """Loss of the flows that did not go through the node."""
        return 100 * self.other_lost / self.other_sent if self.other_sent else 0.0


@dataclass(frozen=True)
class Watch:
    """How long a drill looks."""

    before_s: float = 1.6
    after_s: float = 6.0


class Drill:
    """Drills on a running lab."""

    def __init__(self, world: World, templates: Path) -> None:
        self._world = world
        self._folder: Folder = world.folder
        self._templates = templates

    def run(self, how: How, key: str, watch: Watch) -> Result:
        """Do `how` to a node and return what the traffic shows; the lab stays as the drill leaves it."""
        lab = self._folder.read()
        node = self._world.node(lab, key)
        self._refuse(lab, how, key)
        peers = [k for k, (tier, _) in nodes(lab.desired).items() if tier == node.tier]
        before = carried(self._folder, [k for k in peers if k == key or runs(lab, k)], watch.before_s)
        at = now()
        lab = self.act(lab, how, key)
        time.sleep(max(0.0, watch.after_s - watch.before_s))
        of_senders = senders(lab.desired, node.tier)
        after = carried(self._folder, [*(k for k in peers if runs(lab, k)), *of_senders], watch.before_s)
        time.sleep(_SETTLE_S)
        packets = between(open_recording(self._folder.recording), at, at + watch.after_s)
        return self._result((how, key, at), lab, packets, (before, after))

    def act(self, lab: Lab, how: How, key: str) -> Lab:
        """Do `how` to a node, without looking; returns the lab as it is then."""
        node = self._world.node(lab, key)
        underlay = Underlay(self._folder, lab)
        others = [address for k, (_, address) in nodes(lab.desired).items() if k != key]
        if how is How.KILL:
            underlay.cut(node.address, cut=True)
            node.kill()
        elif how is How.FREEZE:
            node.freeze(frozen=True)
        elif how is How.PARTITION:
            underlay.part(node.address, others, parted=True)
        changed = with_condition(lab, key, _AFTER[how])
        if how is How.RETURN:
            self._undo(lab, key, others)
        if How.CORDON is how or lab.conditions.get(key) is Condition.CORDONED:
            state = NodeState.DRAINING if how is How.CORDON else NodeState.ACTIVE
            changed = changed.model_copy(update={"desired": with_state(changed.desired, key, state)})
            self._world.publish(changed, self._templates)
        self._folder.write(changed)
        return changed

    def _undo(self, lab: Lab, key: str, others: list[IPv4Address]) -> None:
        node, underlay = self._world.node(lab, key), Underlay(self._folder, lab)
        was = lab.conditions.get(key, Condition.UP)
        if was is Condition.KILLED:
            self._world.renew(lab, key, survey())
        elif was is Condition.FROZEN:
            node.freeze(frozen=False)
        elif was is Condition.PARTITIONED:
            underlay.part(node.address, others, parted=False)

    @staticmethod
    def _refuse(lab: Lab, how: How, key: str) -> None:
        was = lab.conditions.get(key, Condition.UP)
        if how is How.RETURN and was is Condition.UP:
            raise LabError(f"{key} is up: there is nothing to return from")
        if how is not How.RETURN and was is not Condition.UP:
            raise LabError(f"{key} is {was.value}: return it first with `ecm lab drill return {key}`")

    def _result(
        self,
        event: tuple[How, str, float],
        lab: Lab,
        packets: Packets,
        flows: tuple[dict[str, frozenset[int]], dict[str, frozenset[int]]],
    ) -> Result:
        how, key, at = event
        before, _ = flows
        tier = nodes(lab.desired)[key][0]
        role = lab.desired.tier(tier).role
        interval = 1 / lab.flows.packets_per_s
        mine = _of(packets, before.get(key, frozenset()))
        elsewhere = _of(packets, frozenset[int]().union(*(ports for k, ports in before.items() if k != key))) & ~mine
        if role is Role.INGRESS:
            # A client's session moves as a whole, and the flows that it begins meanwhile wait with it.
            owner = np.array([client.number for client, _ in routes(lab)])[packets.flow]
            mine = np.isin(owner, np.unique(owner[mine]))
            elsewhere = ~mine
        through = losses(_only(packets, mine), interval)
        others = losses(_only(packets, elsewhere), interval)
        all_lost = packets.back == 0
        shares, error = shares_of(self._folder, lab, key, flows)
        return Result(
            how=how,
            node=key,
            tier=tier,
            role=role,
            mode=lab.mode,
            flows=lab.flows.count,
            carried=len(before.get(key, ())),
            loss_window_s=round(_span(through), 3),
            flow_p50_s=_quantile(through, 50),
            flow_p95_s=_quantile(through, 95),
            redistribute_s=round(max(0.0, through.last - at), 3),
            lost=int(all_lost.sum()),
            sent=len(all_lost),
            other_lost=others.lost,
            other_sent=others.sent,
            shares=shares,
            unassisted_s=_of_clients(lab, _only(packets, mine), assisted=False),
            assisted_s=_of_clients(lab, _only(packets, mine), assisted=True),
            share_error_pct=error if how is not How.RETURN and role is not Role.INGRESS else None,
        )


def with_state(desired: Desired, key: str, state: NodeState) -> Desired:
    """Return `desired` with one node in `state`."""
    tiers = []
    for tier in desired.tiers:
        slots = []
        for slot in tier.slots:
            nodes_ = tuple(
                n.model_copy(update={"state": state}) if f"{slot.id}#{n.generation}" == key else n for n in slot.nodes
            )
            slots.append(slot.model_copy(update={"nodes": nodes_}))
        tiers.append(tier.model_copy(update={"slots": tuple(slots)}))
    return desired.model_copy(update={"tiers": tuple(tiers)})


def _of(packets: Packets, ports: frozenset[int]) -> npt.NDArray[np.bool_]:
    """Return which packets are of the flows with these source ports."""
    chosen: npt.NDArray[np.bool_] = np.isin(packets.port, np.array(sorted(ports), np.uint16))
    return chosen


def _only(packets: Packets, chosen: npt.NDArray[np.bool_]) -> Packets:
    return Packets(
        packets.flow[chosen], packets.port[chosen], packets.sent[chosen], packets.there[chosen], packets.back[chosen]
    )


def _of_clients(lab: Lab, packets: Packets, *, assisted: bool) -> float | None:
    """Return the longest loss window of one client's flows, over the assisted or the other clients."""
    owner = np.array([client.number for client, _ in routes(lab)])
    spans = []
    for client in lab.clients:
        own = _only(packets, owner[packets.flow] == client.number)
        if client.assisted is assisted and len(own.flow):
            spans.append(_span(losses(own, 1 / lab.flows.packets_per_s)))
    return round(max(spans), 3) if spans else None


def _span(loss: Loss) -> float:
    return loss.last - loss.first if loss.lost else 0.0


def _quantile(loss: Loss, percent: float) -> float:
    return round(float(np.percentile(loss.windows, percent)), 3) if len(loss.windows) else 0.0
