"""Array operations that the simulator and the policies share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Loads = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Array = TypeVar("Array", Loads, Counts)


def nodes_for(load: Loads, per_node: Loads | float) -> Counts:
    """Return the least n with n * per_node >= load; 0 where the load is NaN.

    Division alone can miss by one: a product that rounds to the load itself counts as enough, as in the simulator.
    """
    wanted = np.where(np.isnan(load), 0.0, load)
    count = np.ceil(wanted / per_node)
    count -= (count > 0) & ((count - 1) * per_node >= wanted)
    count += count * per_node < wanted
    return count.astype(np.int64)


def trailing(op: Callable[[Array, Array], Array], values: Array, reach: int, before: float) -> Array:
    """Return `op` (np.minimum or np.maximum) over each value and the `reach` before it, along the last axis.

    What precedes the first value counts as `before`. Windows are doubled, so the cost grows with log(reach).
    """
    pad = np.full((*values.shape[:-1], reach), before, dtype=values.dtype)
    out = np.concatenate([pad, values], axis=-1)
    have = 1
    while have <= reach:
        shift = min(have, reach + 1 - have)
        out = op(out[..., shift:], out[..., :-shift])
        have += shift
    return out


def leading(op: Callable[[Array, Array], Array], values: Array, reach: int, after: float) -> Array:
    """Return `op` over each value and the `reach` after it, along the last axis; what follows the last is `after`."""
    flipped: Array = trailing(op, values[..., ::-1], reach, after)[..., ::-1]
    return flipped


def held(desired: Counts, period: int) -> Counts:
    """Return `desired` with each decision held until the next, `period` rows later, along the last axis."""
    rows = np.arange(desired.shape[-1])
    kept: Counts = desired[..., rows - rows % period]
    return kept


def longest_run(flags: Flags) -> int:
    """Return the length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))
