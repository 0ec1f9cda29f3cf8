"""The main job from end to end on one machine, each step a command that people run themselves."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ecm.cli.demo_world import CAMPAIGN_FACTOR, STACK, an_interval_ago, announce, embedded_aws, prepare, write_telemetry
from ecm.cli.exits import Code, CommandError
from ecm.cli.session import Session
from ecm.engine import MissingPulumi, locate

LOAD_MBPS: Final = 250
"""Present load per application."""


@dataclass(frozen=True)
class Step:
    """One command of the story and the exit codes that it may end with."""

    says: str
    arguments: tuple[str, ...]
    codes: tuple[Code, ...] = (Code.DONE,)
    before: Callable[[], None] | None = None
    """What people do before it."""


def run_demo(session: Session) -> int:
    """Run the story and return the exit code; every file that it makes lies in `.ecm/demo`."""
    start, at = time.monotonic(), session.now()
    folder = prepare(session.root, at)
    end = an_interval_ago(at)
    load = write_telemetry(folder, end, LOAD_MBPS)
    session.out.print(
        f"The telemetry is generated, not measured: four weeks up to now, now {LOAD_MBPS} Mbit/s per application, in a "
        f"time zone where it is noon.\nThe AWS is an embedded one on this machine (moto); Pulumi's engine is the "
        f"real one.\nAll files: {folder}\n",
        markup=False,
    )
    steps = story(load, lambda: announce(folder, at))
    try:
        locate(session.env)
    except MissingPulumi as error:
        session.out.print(f"{error}\nWithout it the demonstration shows what needs no Pulumi.\n", markup=False)
        _play(session, folder, without_pulumi(load))
        return int(Code.ERROR)
    with embedded_aws(session.root, folder) as variables, _environment(variables):
        _play(session, folder, steps)
    took = time.monotonic() - start
    session.out.print(f"\nDone in {took:.0f} s: forecast, decided, reviewed, applied, checked, and nothing left to do.")
    return int(Code.DONE)


def story(load: Path, announce_campaign: Callable[[], None]) -> tuple[Step, ...]:
    """Return the steps: from nothing to a stack that is as planned, then a campaign that raises the forecast."""
    proposed = (Code.CHANGES, Code.REVIEW)
    given = ("--telemetry", str(load))
    return (
        Step("What load is expected, with which uncertainty", ("forecast", *given)),
        Step("How many nodes that takes: the plan changes nothing yet", ("plan", *given), proposed),
        Step("The report that a person reads", ("review", "--output", "plan-1.md")),
        Step("Why one tier is as it is", ("explain", "corp-in")),
        Step("A person approves; the digest goes into the stack's configuration", ("approve", "--why", "a demo")),
        Step("What Pulumi would do", ("preview",), (Code.CHANGES,)),
        Step("Pulumi makes it so", ("up", *given)),
        Step("Does what runs match the plan?", ("verify",)),
        Step("Planning again finds nothing to do", ("plan", *given)),
        Step(
            f"A campaign of {CAMPAIGN_FACTOR} times the load is announced for half an hour on: the load is as it was, "
            "the forecast rises",
            ("forecast", *given),
            before=announce_campaign,
        ),
        Step("More nodes, before the load arrives", ("plan", *given), proposed),
        Step("The report of the change", ("review", "--output", "plan-2.md")),
        Step("Approved", ("approve", "--why", "the campaign")),
        Step("What Pulumi would do: only what is new", ("preview",), (Code.CHANGES,)),
        Step("Pulumi adds the nodes and replaces none", ("up", *given)),
        Step("Does what runs match the plan?", ("verify",)),
        Step("Nothing left to do", ("plan", *given)),
        Step("What happened", ("status",)),
    )


def without_pulumi(load: Path) -> tuple[Step, ...]:
    """Return the steps that need no Pulumi."""
    given = ("--telemetry", str(load))
    return (
        Step("What load is expected, with which uncertainty", ("forecast", *given)),
        Step("How many nodes that takes", ("plan", "--offline", *given), (Code.CHANGES, Code.REVIEW)),
        Step("The report that a person reads", ("review", "--offline", "--output", "plan-1.md")),
        Step("Why one tier is as it is", ("explain", "corp-in")),
    )


def _play(session: Session, folder: Path, steps: tuple[Step, ...]) -> None:
    from ecm.cli.main import run  # noqa: PLC0415 - the program that this command is part of

    for number, step in enumerate(steps, start=1):
        shown = " ".join(argument.removeprefix(f"{folder}/") for argument in step.arguments)
        session.out.print(f"\n[bold]{number}/{len(steps)} {step.says}[/]\n[dim]$ ecm {shown} --stack {STACK}[/]")
        began = time.monotonic()
        if step.before:
            step.before()
        arguments = [str(folder / a) if a.endswith(".md") else a for a in step.arguments]
        code = run(["--root", str(folder), "--stack", STACK, *arguments])
        if code not in step.codes:
            wanted = " or ".join(str(int(c)) for c in step.codes)
            raise CommandError(f"the demonstration stops: `ecm {shown}` ended with {code}, expected {wanted}")
        session.out.print(f"({time.monotonic() - began:.1f} s)", style="dim")


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set `variables` for the commands of the story, and put back what was there."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
