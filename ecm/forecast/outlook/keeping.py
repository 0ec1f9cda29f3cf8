"""A fit of a panel as bytes without pickle: what an update needs besides the telemetry."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from ecm import __version__
from ecm.forecast.arrays import Values
from ecm.forecast.outlook.block import BlockFit
from ecm.forecast.outlook.choosing import SHARES, Chosen
from ecm.forecast.outlook.grid import Grid
from ecm.forecast.outlook.occurrences import Occurrences
from ecm.model.base import canonical_json, digest
from ecm.model.demand import DemandHistory
from ecm.model.fleet import Fleet


class Kept(NamedTuple):
    """A fit of a panel."""

    models: tuple[str, ...]
    shape: Values
    blocks: tuple[BlockFit, ...]


def fit_key(history: DemandHistory, fleet: Fleet, grid: Grid, models: tuple[str, ...]) -> str:
    """Return the name of a fit: whatever it depends on. The history counts up to the refit alone."""
    names = [history.start.isoformat(), history.applications, history.vpns, models, SHARES]
    grids = [grid.fitted, grid.season.interval_min, digest(fleet), __version__]
    found = hashlib.sha256(canonical_json([names, grids]))
    for row in history.mbps:
        found.update(np.ascontiguousarray(row[: grid.fitted]).data)
    return found.hexdigest()


def packed(key: str, kept: Kept) -> bytes:
    """Return a fit as bytes; equal fits give equal bytes."""
    facts = {
        "key": key,
        "models": kept.models,
        "learnt": [sorted(block.learnt) for block in kept.blocks],
        "said": [block.occurrences.said for block in kept.blocks],
    }
    text = np.frombuffer(json.dumps(facts, sort_keys=True).encode(), dtype=np.uint8)
    arrays: dict[str, npt.NDArray[Any]] = {"facts": text, "shape": kept.shape}
    for place, block in enumerate(kept.blocks):
        for name, array in _arrays(block).items():
            arrays[f"{place}.{name}"] = array
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def unpacked(data: bytes, key: str) -> Kept | None:
    """Return the fit that `packed` made; None where it is another one or cannot be read: then it is made again."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            facts = json.loads(arrays["facts"].tobytes())
            if facts["key"] != key:
                return None
            blocks = tuple(
                _block(arrays, place, learnt, said)
                for place, (learnt, said) in enumerate(zip(facts["learnt"], facts["said"], strict=True))
            )
            return Kept(tuple(facts["models"]), arrays["shape"], blocks)
    except (ValueError, KeyError, TypeError, OSError, EOFError, BadZipFile):
        return None


def _arrays(block: BlockFit) -> dict[str, npt.NDArray[Any]]:
    return {
        "used": block.chosen.used,
        "power": block.chosen.power,
        "tables": block.tables,
        "floor": block.floor,
        "place": block.occurrences.place,
        "factors": block.occurrences.factors,
        **{f"learnt.{name}": values for name, values in block.learnt.items()},
    }


def _block(arrays: Mapping[str, npt.NDArray[Any]], place: int, learnt: list[str], said: list[list[Any]]) -> BlockFit:
    def get(name: str) -> npt.NDArray[Any]:
        return arrays[f"{place}.{name}"]

    lines = tuple((int(row), int(first), int(after), str(text)) for row, first, after, text in said)
    return BlockFit(
        chosen=Chosen(get("used"), get("power")),
        tables=get("tables"),
        floor=get("floor"),
        learnt={name: get(f"learnt.{name}") for name in learnt},
        occurrences=Occurrences(get("place"), get("factors"), lines),
    )
