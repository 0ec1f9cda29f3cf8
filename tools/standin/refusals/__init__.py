"""AWS's refusals and behaviour that moto lacks, laid over moto's backends within the embedded AWS's own process.

Every refusal here is one that AWS makes; its code is AWS's. The provider sees an AWS that says no, whichever provider
it is: the stand-in or the real plugin. Test double, not AWS.
"""

from __future__ import annotations

from tools.standin.faults import FaultFile
from tools.standin.refusals import addresses, balancing, capacity, dependents, instances, records
from tools.standin.refusals.overlay import use


def install(faults: FaultFile) -> None:
    """Lay the refusals over moto, once a process, and let them read `faults`."""
    if use(faults):
        for module in (addresses, balancing, capacity, dependents, instances, records):
            module.OVERLAYS.install()
