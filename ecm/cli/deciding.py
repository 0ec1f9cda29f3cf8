"""Plans and forecasts from files: the part of the command line that loads the scientific libraries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ecm import intent, telemetry
from ecm.cli.histories import telemetry_source
from ecm.cli.session import Session
from ecm.cli.standing import Standing, observed
from ecm.forecast import Predictor
from ecm.forecast.models import missing
from ecm.intent import Intent
from ecm.model.demand import DemandHistory
from ecm.model.observed import Observed
from ecm.model.plan import Plan
from ecm.model.rendered import PeerTable
from ecm.pipeline import Outcome, World, decide_from, look_ahead, restore, tried
from ecm.store import Store


@dataclass(frozen=True)
class Inputs:
    """Everything people wrote and everything that was measured."""

    intent: Intent
    history: DemandHistory


def read_inputs(session: Session, given: Path | None) -> Inputs:
    """Return the stack's intent and its telemetry."""
    wanted = intent.load(session.root, session.stack)
    absent = missing(tried(wanted.limits))
    if absent:
        session.note(
            f"policies/limits.yaml asks for forecast.lstm, but {' and '.join(absent)} are not installed: the other "
            "models forecast without it\n    pip install 'endpoint-chain-manager[lstm]', or set it to false"
        )
    return Inputs(wanted, telemetry.read(telemetry_source(session, given, wanted.fleet), fleet=wanted.fleet))


def predictor(session: Session, inputs: Inputs, store: Store, seen: Observed | None) -> Predictor:
    """Return what forecasts for plans after `seen`; what an earlier run left in the store spares it a fit."""
    limits = inputs.intent.limits
    ahead = look_ahead(limits, seen)
    if ahead.extra_min and ahead.measured_s is not None:
        session.note(
            f"{ahead.nodes} nodes took {ahead.measured_s / 60:.1f} min from launch to healthy (P90): the forecast "
            f"looks {ahead.extra_min} min further ahead than lead in policies/limits.yaml says"
        )
    return Predictor(
        inputs.history,
        inputs.intent.fleet,
        lead_min=ahead.lead_min,
        hold_min=ahead.hold_min,
        kept=store.fit(),
        tried=tried(limits),
    )


def make_plan(
    session: Session, inputs: Inputs, world: World, forecaster: Predictor, *, to: Plan | None = None
) -> Outcome:
    """Return what the pipeline decides in `world`; with the nodes and chains of an earlier plan, `to`, where given."""
    with session.err.status("forecast, size, assign, plan, guard, render"):
        predicted = forecaster.at(world.as_of)
        if to is not None:
            return restore(inputs.intent, inputs.history, predicted, world, to)
        return decide_from(inputs.intent, inputs.history, predicted, world)


def make_world(session: Session, store: Store, inputs: Inputs, stands: Standing, as_of: datetime) -> World:
    """Return what a decision takes from outside the files that people write; AwsError when AWS cannot be asked."""
    return World(
        as_of=as_of,
        observed=observed(session, store, stands, (inputs.intent.fleet.region, as_of)),
        previous=stands.previous,
        basis=stands.applied,
        peers=_peer_tables(store, inputs.intent),
        overlay_signers=session.settings.overlay_signers,
        templates=session.root / "templates",
        guardrails=intent.pack_digest(session.root),
        libraries=intent.libraries(),
    )


def remember(store: Store, world: World, forecaster: Predictor) -> None:
    """Keep what spares the next decision work, and what it compares with: the fitted models, and what was seen."""
    if forecaster.kept is not None:
        store.set_fit(forecaster.kept)
    if world.observed is not None:
        store.set_observed(world.observed)


def _peer_tables(store: Store, wanted: Intent) -> tuple[PeerTable, ...]:
    """Return the clients of every VPN that has some, sorted by VPN."""
    tables = (store.clients(vpn) for vpn in sorted(wanted.fleet.vpns, key=lambda v: v.id))
    return tuple(table for table in tables if table is not None)
