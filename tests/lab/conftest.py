"""A running lab for the tests of this folder, or a clear reason why there is none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ecm.lab import Drill, Flows, Folder, Options, World, built_in, settle
from ecm.lab.commands import spaces
from ecm.lab.kernel import missing
from ecm.lab.state import Lab

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
OPTIONS = Options(
    templates=TEMPLATES, flows=Flows(count=240, packets_per_s=2.0, lifetime_s=10.0), clients=4, assisted=2
)


@dataclass(frozen=True)
class Running:
    """A lab that runs."""

    world: World
    drill: Drill

    @property
    def folder(self) -> Folder:
        return self.world.folder

    @property
    def lab(self) -> Lab:
        return self.folder.read()


def need_lab() -> None:
    """Skip where no lab can run; in CI that is a failure."""
    lacking = missing()
    if lacking and os.environ.get("ECM_REQUIRE_TOOLS"):
        pytest.fail("; ".join(lacking))
    if lacking:
        pytest.skip("; ".join(lacking))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A 2-2-2 lab with traffic, every node healthy; nothing is left of it afterwards."""
    need_lab()
    world = World(Folder(tmp_path_factory.mktemp("lab")))
    try:
        lab = world.up(built_in("2-2-2"), OPTIONS)
        settle(world.folder, lab)
        yield Running(world, Drill(world, TEMPLATES))
    finally:
        world.down()
    assert spaces(world.folder.prefix) == ()
    assert not world.folder.path.exists()
