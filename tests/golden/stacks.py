"""The example stacks' desired states that the golden files are rendered from."""

from __future__ import annotations

from pathlib import Path

from ecm.model.plan import Desired

GOLDEN = Path(__file__).resolve().parent
ROOT = GOLDEN.parents[1]
STACKS = ("dev", "staging", "prod")


def stack_desired(stack: str) -> Desired:
    """The desired state of an example stack, as `python -m tests.golden.update` stored it."""
    return Desired.model_validate_json((GOLDEN / stack / "desired.json").read_bytes())
