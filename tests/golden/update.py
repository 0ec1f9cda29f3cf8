"""Write the golden files anew: `make golden`, or `python -m tests.golden.update [--plan]`.

Only this command changes them; review the difference like code. `--plan` also decides the desired states of the example
stacks anew, from constant loads.
"""

from __future__ import annotations

import json
import sys

from ecm import intent
from ecm.model.plan import Desired
from ecm.pipeline import World, decide_from
from tests.forecasts import AS_OF, a_forecast, a_history
from tests.golden.pages import pages
from tests.golden.stacks import GOLDEN, ROOT, STACKS, stack_desired

LOAD_MBPS = 300
"""Of every application."""


def decided(stack: str) -> Desired:
    """The desired state that the pipeline decides for an example stack under constant loads."""
    wanted = intent.load(ROOT, stack)
    loads = {a.id: LOAD_MBPS for a in wanted.fleet.applications}
    world = World(as_of=AS_OF, templates=ROOT / "templates")
    outcome = decide_from(wanted, a_history(wanted.fleet, loads), a_forecast(wanted.fleet, loads), world)
    if outcome.plan is None:
        raise SystemExit(f"{stack}: {'; '.join(i.message() for i in outcome.infeasible)}")
    return outcome.plan.desired


def main(arguments: list[str]) -> None:
    """Write every page of every stack, and remove pages that no longer exist."""
    for stack in STACKS:
        folder = GOLDEN / stack
        folder.mkdir(exist_ok=True)
        if "--plan" in arguments or not (folder / "desired.json").exists():
            text = json.dumps(decided(stack).model_dump(mode="json"), indent=1, sort_keys=True)
            (folder / "desired.json").write_text(text + "\n")
        written = pages(stack_desired(stack))
        for name, text in written.items():
            (folder / name).write_text(text)
        for stale in {p.name for p in folder.iterdir()} - {*written, "desired.json"}:
            (folder / stale).unlink()
        print(f"{stack}: {len(written)} pages")  # noqa: T201 - a command's report


if __name__ == "__main__":
    main(sys.argv[1:])
