"""The history of a stack, and telemetry from it or from files."""

from __future__ import annotations

from pathlib import Path

from ecm import telemetry
from ecm.cli.paths import telemetry_path
from ecm.cli.session import Session
from ecm.model.fleet import Fleet, Role
from ecm.model.points import MANIFEST
from ecm.model.series import SeriesKey
from ecm.store import StoreError
from ecm.store.folder import FolderObjects
from ecm.store.history import History


def stack_history(session: Session) -> History:
    """Return the history that `ecm collect` keeps of the stack, in its store."""
    return History(session.objects(), f"{session.stack}/history")


def telemetry_source(session: Session, given: Path | None, fleet: Fleet) -> telemetry.Source:
    """Return what to read the load from: `given`, else the stack's history where it holds points, else its files.

    A folder that is a history is read through its manifest. TelemetryError where a history cannot be read.
    """
    if given is None:
        history, name = stack_history(session), f"history of stack {session.stack}"
    elif (given.expanduser() / MANIFEST).is_file():
        history, name = History(FolderObjects(given.expanduser().resolve())), str(given)
    else:
        return telemetry_path(session, given)
    try:
        days = history.manifest().days
        if not days:
            return telemetry_path(session, given)
        means = any(day.closed for day in days)
        points = history.read(means=means, wanted=lambda key: _demand(key, fleet))
    except StoreError as error:
        raise telemetry.TelemetryError(str(error), file=name, remedy="or give a file with --telemetry FILE") from error
    return telemetry.Table(name, telemetry.demand_table(points))


def _demand(key: SeriesKey, fleet: Fleet) -> bool:
    """Whether a series counts as demand: of an application of the fleet, where its clients come in.

    Behind the ingress tier the same bytes are counted again.
    """
    ingress = {tier.id for tier in fleet.tiers if tier.role is Role.INGRESS}
    known = any(a.id == key.application and a.vpn == key.vpn for a in fleet.applications)
    return known and (not key.tier or key.tier in ingress)
