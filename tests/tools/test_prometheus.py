"""`ecm collect` against a real Prometheus server: what the counters counted is what the history holds."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import urllib3

from ecm.store.folder import FolderObjects
from ecm.store.history import History
from tests.cli import NOW, Project, make_project, write_load
from tests.prometheus import with_source

pytestmark = pytest.mark.tools

START = datetime(2026, 11, 18, 9, 0, tzinfo=UTC)
MINUTES = 185
RATES = {"a": 1e6 * (1 + np.arange(MINUTES) % 7), "b": np.full(MINUTES, 250_000.0)}
"""Bytes per second of each minute and node, in each of two directions."""
RESET_AT, HOLE = 61, (90, 101)
"""Node a's counters begin again after this minute; node b was not scraped from the one minute to the other."""


def exposed(node: str, step: int, phase: int) -> Iterator[tuple[float, float]]:
    """Yield (seconds since 1970, counter) as scrapes every `step` seconds see it, reset just after one."""
    base, total, shown = START.timestamp(), 0.0, 0.0
    for second in range(phase, MINUTES * 60, step):
        minute = second // 60
        if node == "a" and second == RESET_AT * 60:
            shown = total
        total += RATES[node][max(second - 1, 0) // 60] * (step if second > phase else 0)
        if node == "b" and HOLE[0] <= minute < HOLE[1]:
            continue
        yield base + second, total - shown


def open_metrics() -> str:
    lines = ["# TYPE ecm_traffic_bytes counter"]
    for node, step, phase in (("a", 15, 0), ("b", 20, 7)):
        for direction in ("down", "up"):
            labels = f'vpn="lab",application="web",direction="{direction}",instance="10.0.0.{node}:9100"'
            lines += [f"ecm_traffic_bytes_total{{{labels}}} {value} {at}" for at, value in exposed(node, step, phase)]
    return "\n".join([*lines, "# EOF", ""])


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[str]:
    """A Prometheus server that has scraped both nodes."""
    for tool in ("prometheus", "promtool"):
        if shutil.which(tool) is None:
            if os.environ.get("ECM_REQUIRE_TOOLS"):
                pytest.fail(f"{tool} is not installed (Debian: prometheus)")
            pytest.skip(f"needs {tool} (Debian: prometheus)")
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "scraped.txt").write_text(open_metrics())
    (folder / "prometheus.yml").write_text("scrape_configs: []\n")
    made = ["promtool", "tsdb", "create-blocks-from", "openmetrics", folder / "scraped.txt", folder / "data"]
    subprocess.run(made, check=True, capture_output=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    options = (f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}")
    command = ["prometheus", *options, f"--web.listen-address={address}", "--storage.tsdb.retention.time=100y"]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            _await(f"http://{address}/-/ready", process, folder / "log")
            yield f"http://{address}"
        finally:
            process.terminate()
            process.wait(timeout=20)


def _await(url: str, process: subprocess.Popen, log: Path) -> None:
    for _ in range(100):
        assert process.poll() is None, log.read_text()
        try:
            if urllib3.request("GET", url, retries=False).status == 200:
                return
        except urllib3.exceptions.HTTPError:
            pass
        time.sleep(0.1)
    pytest.fail(log.read_text())


@pytest.fixture
def project(server, tmp_path, capsys, monkeypatch) -> Project:
    return make_project(tmp_path / "project", capsys, monkeypatch, write_load(tmp_path / "load.parquet", 20, days=1))


def collected(project: Project) -> dict[str, dict[int, float]]:
    """Mbit/s of each node by the minute since START."""
    found = History(FolderObjects(project.root / ".ecm/store"), "dev/history").read()
    minutes = (found.stamps - np.datetime64(START.replace(tzinfo=None), "us")) // np.timedelta64(1, "m")
    nodes = [found.series[i].node for i in found.index]
    made: dict[str, dict[int, float]] = {"a": {}, "b": {}}
    for node, minute, mbps in zip(nodes, minutes.tolist(), found.mbps.tolist(), strict=True):
        assert minute not in made[node[7]], "a point stands twice"
        made[node[7]][minute] = mbps
    return made


def expected(node: str, minutes: range) -> dict[int, float]:
    return {m: RATES[node][m] * 2 * 8 / 1e6 for m in minutes}


def test_what_the_counters_counted_comes_out_over_resets_and_holes(project, server):
    with_source(project, server)
    project.clock.at = START + timedelta(minutes=90)
    first = project.json("collect")
    project.clock.at = NOW
    second = project.json("collect")
    assert second["sources"][0]["points"] < first["sources"][0]["points"] + 120
    made = collected(project)
    last = int((NOW - START) / timedelta(minutes=1)) - 2
    want = expected("a", range(last))
    assert made["a"].keys() == want.keys()
    np.testing.assert_allclose(list(made["a"].values()), list(want.values()), rtol=1e-9)
    # A minute that lies partly before the first sample, or in the hole, is not known.
    want = {m: v for m, v in expected("b", range(1, last)).items() if not HOLE[0] - 1 <= m <= HOLE[1]}
    assert made["b"].keys() == want.keys()
    np.testing.assert_allclose(list(made["b"].values()), list(want.values()), rtol=1e-9)


def test_collecting_again_and_from_an_earlier_time_doubles_and_changes_nothing(project, server):
    with_source(project, server)
    project.json("collect")
    before = collected(project)
    project.json("collect")
    again = project.json("collect", "--since", "2026-11-18T09:30Z")
    assert again["sources"][0]["points"] > 200
    after = collected(project)
    assert after.keys() == before.keys()
    for node, points in after.items():
        assert points.keys() == before[node].keys()
        np.testing.assert_allclose(list(points.values()), list(before[node].values()), rtol=1e-12)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"metric": "no_such_total"}, "the server knows no such metric"),
        ({"metric": 'ecm_traffic_bytes_total{vpn=~"("}'}, "error parsing regexp"),
        ({"mapping": {"vpn": {"label": "network"}}}, "has no label 'network'"),
        ({"mapping": {"application": {"label": "direction"}}}, "no such VPN and application"),
        ({"mapping": {"application": {"label": "direction", "names": {"up": "web", "down": "web"}}}}, ""),
    ],
)
def test_a_wrong_source_is_said_and_nothing_is_kept_of_it(project, server, more, said):
    with_source(project, server, **more)
    code, _, err = project.run("collect")
    assert (code, said in err) == (1 if said else 0, True)
    assert bool(collected(project)["a"]) is (not said)
