"""What an agent reports of its node, and when."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ecm.agent.keys import public_of
from ecm.agent.report import Reporter
from ecm.agent.source import FolderSource, SourceError
from ecm.model.contract import report_key
from ecm.model.node_report import HEARTBEAT_S, LayerName, NodeReport
from tests.unit.agent_nodes import PRIVATE, SLOT, WHO, OneNode, publish

EPOCH = datetime(2026, 3, 2, 9, 0, tzinfo=UTC).timestamp()


class Reporting:
    """A node in use whose reports are kept."""

    def __init__(self, folder: Path) -> None:
        publish(folder / "config", 10)
        self.one = OneNode(folder)
        self.reporter = Reporter(FolderSource(self.one.config), WHO, self.one.state)
        self.path = self.one.config / report_key(SLOT, 1)

    def pass_time(self, seconds: int) -> int:
        """Let time pass; return how often a report was written."""
        writes, before = 0, self._stamp()
        for _ in range(seconds):
            self.one.pass_time(1)
            self.reporter.turn(self.one.now, self.one.node, lambda: EPOCH + self.one.now)
            writes, before = writes + (self._stamp() != before), self._stamp()
        return writes

    @property
    def report(self) -> NodeReport:
        return NodeReport.model_validate_json(self.path.read_bytes())

    def _stamp(self) -> tuple[int, int] | None:
        return (self.path.stat().st_ino, self.path.stat().st_mtime_ns) if self.path.exists() else None


@pytest.fixture
def node(tmp_path: Path) -> Reporting:
    found = Reporting(tmp_path)
    found.pass_time(20)
    return found


def test_a_node_that_is_well_says_so_and_since_when(node: Reporting) -> None:
    assert (node.report.slot, node.report.generation, node.report.serial) == (SLOT, 1, 10)
    assert (node.report.wrong, node.report.why, node.report.draining) == ((), "", False)
    assert node.report.edge_key == public_of(PRIVATE)
    first = node.report.healthy_at
    assert first is not None
    assert EPOCH + 100 < first.timestamp() <= node.one.now + EPOCH


def test_the_first_moment_stays_over_a_restart(node: Reporting) -> None:
    first = node.report.healthy_at
    node.reporter = Reporter(FolderSource(node.one.config), WHO, node.one.state)
    node.pass_time(10)
    assert node.report.healthy_at == first


def test_nothing_new_is_said_only_as_a_sign_of_life(node: Reporting) -> None:
    assert node.pass_time(int(HEARTBEAT_S) - 30) == 0
    assert node.pass_time(60) == 1


def test_a_change_is_told_within_seconds_with_its_layer(node: Reporting) -> None:
    node.one.machine.paths = False
    node.pass_time(6)
    assert node.report.wrong == (LayerName.PATH,)
    assert "tunnels to the next tier" in node.report.why
    node.one.machine.paths = True
    node.pass_time(6)
    assert node.report.wrong == ()


def test_what_flaps_is_no_write_a_second(node: Reporting) -> None:
    writes = 0
    for turn in range(60):
        node.one.machine.paths = turn % 2 == 0
        writes += node.pass_time(1)
    assert 1 <= writes <= 12


def test_a_drain_is_told_and_is_no_fault(node: Reporting) -> None:
    node.one.state.set_draining(1.0)
    node.pass_time(8)
    assert node.report.draining
    assert node.report.wrong == ()


def test_a_source_that_takes_nothing_is_a_problem_that_passes(node: Reporting, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise SourceError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(FolderSource, "publish", full)
        node.one.machine.paths = False
        node.pass_time(8)
        assert node.reporter.problem == "the disk is full"
        assert node.report.wrong == ()
    node.pass_time(8)
    assert node.reporter.problem == ""
    assert node.report.wrong == (LayerName.PATH,)
