"""Whatever type the program declares, a run that is killed between its creation and the checkpoint leaves no orphan."""

from __future__ import annotations

from ecm.aws.leftovers import _FINDERS, OVERWRITTEN
from tests.builders import a_desired
from tests.program import test_entry, test_hardening


def test_every_declared_type_is_found_again_or_is_overwritten() -> None:
    workloads = test_entry.declared(test_entry.existing_vpc(test_entry.a_workload_route()))
    made = [*test_hardening.recording().resources, *test_entry.declared(a_desired()).resources]
    declared = {r.type for r in (*made, *workloads.resources) if r.type.startswith("aws:")}
    assert len(declared) > 25
    assert declared - set(_FINDERS) == OVERWRITTEN
