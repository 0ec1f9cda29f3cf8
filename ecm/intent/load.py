"""Reads one stack's fleet file and the policies into one checked value."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from ecm.intent.crosscheck import Files, cross_problems
from ecm.intent.documents import read_mapping
from ecm.intent.problems import IntentError, Problem, show
from ecm.intent.translate import problems_of
from ecm.model.base import Frozen
from ecm.model.catalog import Catalog
from ecm.model.fleet import Event, Fleet
from ecm.model.policy import Limits, Qos, Security
from ecm.model.request import RouteRequest

QOS: Final = "policies/qos.yaml"
SECURITY: Final = "policies/security.yaml"
LIMITS: Final = "policies/limits.yaml"
CATALOG: Final = "policies/catalog.yaml"
_STACK = re.compile(r"[a-z](?:-?[a-z0-9]){0,23}")
_Model = TypeVar("_Model", bound=BaseModel)


class Intent(Frozen):
    """Everything people wrote for one stack, limits already merged with the stack's own."""

    fleet: Fleet
    qos: Qos
    security: Security
    limits: Limits
    catalog: Catalog


def load(root: Path, stack: str) -> Intent:
    """Return the intent of `stack` from `root`'s `stacks/<stack>.fleet.yaml` and `policies/*.yaml`.

    Raises IntentError with every problem of every file, and, when each file is sound, every contradiction between them.
    """
    if not _STACK.fullmatch(stack):
        problem = Problem("stack", "", show(stack), "is not a stack's name", "use lower case letters, digits, hyphens")
        raise IntentError((problem,))
    fleet_file = f"stacks/{stack}.fleet.yaml"
    problems: list[Problem] = []
    fleet = _read(root, fleet_file, Fleet, problems)
    qos = _read(root, QOS, Qos, problems)
    security = _read(root, SECURITY, Security, problems)
    limits = _read_limits(root, stack, problems)
    catalog = _read(root, CATALOG, Catalog, problems)
    if fleet is not None and fleet.stack != stack:
        what = f"this file is the fleet of stack {stack!r}"
        problems.append(Problem(fleet_file, "stack", show(fleet.stack), what, f"write stack: {stack}"))
    if problems or fleet is None or qos is None or security is None or limits is None or catalog is None:
        raise IntentError(tuple(problems))
    crossed = cross_problems(Files(fleet, qos, security, limits, catalog, fleet_file, QOS, SECURITY, LIMITS, CATALOG))
    if crossed:
        raise IntentError(crossed)
    return Intent(fleet=fleet, qos=qos, security=security, limits=limits, catalog=catalog)


def load_events(path: Path) -> tuple[Event, ...]:
    """Return the `events:` of a YAML file, written as in a fleet file; IntentError names what is wrong."""
    problems: list[Problem] = []
    found = _read(path.parent, path.name, _Events, problems)
    if found is None:
        raise IntentError(tuple(problems))
    return found.events


def load_request(path: Path) -> RouteRequest:
    """Return the request for a route in a YAML or JSON file; IntentError names what is wrong."""
    problems: list[Problem] = []
    found = _read(path.parent, path.name, RouteRequest, problems)
    if found is None:
        raise IntentError(tuple(problems))
    return found


def load_policies(root: Path) -> tuple[Qos, Catalog]:
    """Return profiles and catalog without a fleet that uses them; IntentError names what is wrong."""
    problems: list[Problem] = []
    qos, catalog = _read(root, QOS, Qos, problems), _read(root, CATALOG, Catalog, problems)
    if qos is None or catalog is None:
        raise IntentError(tuple(problems))
    return qos, catalog


class _Events(Frozen):
    events: tuple[Event, ...]


def _read(root: Path, name: str, model: type[_Model], problems: list[Problem]) -> _Model | None:
    try:
        data = read_mapping(root, name)
    except IntentError as error:
        problems.extend(error.problems)
        return None
    return _validated(data, name, model, problems)


def _validated(data: dict[str, Any], name: str, model: type[_Model], problems: list[Problem]) -> _Model | None:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems.extend(problems_of(error, name, data, model))
        return None


def _read_limits(root: Path, stack: str, problems: list[Problem]) -> Limits | None:
    """Read the limits of all stacks and lay the stack's own `stacks.<stack>` over them; lists are replaced whole."""
    try:
        data = read_mapping(root, LIMITS)
    except IntentError as error:
        problems.extend(error.problems)
        return None
    stacks = data.pop("stacks", None) or {}
    own = (stacks.get(stack) or {}) if isinstance(stacks, dict) else None
    if not isinstance(own, dict):
        what = "is not a mapping of fields"
        problems.append(Problem(LIMITS, f"stacks.{stack}", show(own), what, "write fields of the limits below it"))
        return None
    found: list[Problem] = []
    limits = _validated(_merged(data, own), LIMITS, Limits, found)
    problems.extend(_from_override(p, own, stack) for p in found)
    return limits


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _from_override(problem: Problem, own: dict[str, Any], stack: str) -> Problem:
    """Name the place where the value stands: below `stacks.<stack>` when the stack's own limits say it."""
    here: Any = own
    for key in problem.field.split(".") if problem.field else ():
        if not isinstance(here, dict) or key not in here:
            return problem
        here = here[key]
    if not problem.field:
        return problem
    return Problem(problem.file, f"stacks.{stack}.{problem.field}", problem.value, problem.what, problem.remedy)
