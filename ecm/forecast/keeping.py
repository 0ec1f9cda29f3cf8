"""What a fit leaves for the next run: which model each series has and the errors it made, as bytes without pickle."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any
from zipfile import BadZipFile

import numpy as np

from ecm import __version__
from ecm.forecast.arrays import Values
from ecm.forecast.horizon import Horizon
from ecm.forecast.selection import Candidate
from ecm.model.base import canonical_json, digest, digest_bytes
from ecm.model.demand import DemandHistory
from ecm.model.fleet import Fleet


@dataclass(frozen=True)
class Judged:
    """What the past said of one series."""

    model: str
    candidate: Candidate
    errors: Values
    """(scenarios, steps): scaled errors at past origins."""
    coverage_permille: int
    calibrated: bool


def fit_key(history: DemandHistory, fleet: Fleet, horizon: Horizon, models: tuple[str, ...]) -> str:
    """Return the name of a fit: whatever it depends on, so that a kept fit serves exactly where it would be made again.

    The history counts up to the refit alone: what was measured since changes no fit.
    """
    grid = [horizon.fitted, horizon.refit, horizon.steps, horizon.window_first, horizon.season.interval_min]
    names = [history.start.isoformat(), history.applications, history.vpns, models, grid, digest(fleet), __version__]
    values = np.ascontiguousarray(history.mbps[:, : horizon.fitted]).tobytes()
    flags = b"" if history.saturated is None else history.saturated[:, : horizon.fitted].tobytes()
    return digest_bytes(canonical_json(names) + values + flags)


def packed(key: str, series: tuple[Judged | None, ...]) -> bytes:
    """Return a fit as bytes; equal fits give equal bytes."""
    facts: list[dict[str, Any] | None] = []
    arrays: dict[str, Values] = {}
    for place, one in enumerate(series):
        facts.append(None if one is None else _facts(one))
        if one is not None:
            arrays[f"errors{place}"] = one.errors
    text = json.dumps({"key": key, "series": facts}, sort_keys=True).encode()
    buffer = io.BytesIO()
    np.savez(buffer, facts=np.frombuffer(text, dtype=np.uint8), **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def unpacked(data: bytes, key: str) -> tuple[Judged | None, ...] | None:
    """Return the fit that `packed` made; None where it is another one or cannot be read: then it is made again."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            facts = json.loads(arrays["facts"].tobytes())
            if facts["key"] != key:
                return None
            return tuple(_judged(f, arrays, place) for place, f in enumerate(facts["series"]))
    except (ValueError, KeyError, TypeError, OSError, EOFError, BadZipFile):
        return None


def _facts(one: Judged) -> dict[str, Any]:
    return {
        "model": one.model,
        "models": list(one.candidate.models),
        "power": one.candidate.power,
        "weight": one.candidate.weight,
        "coverage_permille": one.coverage_permille,
        "calibrated": one.calibrated,
    }


def _judged(facts: dict[str, Any] | None, arrays: Any, place: int) -> Judged | None:  # noqa: ANN401 - numpy's archive
    if facts is None:
        return None
    return Judged(
        model=str(facts["model"]),
        candidate=Candidate(tuple(int(m) for m in facts["models"]), float(facts["power"]), float(facts["weight"])),
        errors=np.asarray(arrays[f"errors{place}"], dtype=np.float64),
        coverage_permille=int(facts["coverage_permille"]),
        calibrated=bool(facts["calibrated"]),
    )
