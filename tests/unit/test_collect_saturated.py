"""Load measured while a tier had no more to give: marked as it is collected, and never taken for the demand."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import boto3
import numpy as np
import pytest
import yaml
from botocore.stub import ANY, Stubber

from ecm.aws import client_config
from ecm.aws.metrics import CloudWatch
from ecm.model.collection import CloudWatchSource
from ecm.model.points import Points
from ecm.model.series import SeriesKey
from ecm.store import EntryKind
from ecm.store.folder import FolderObjects
from ecm.store.history import History
from ecm.store.journal import Journal
from ecm.telemetry import at_capacity, plan_limits
from tests.cli import NOW, Project
from tests.prometheus import with_source
from tests.reviews import HIGH, decided, prod

PLAN = decided(prod(), HIGH)
START = datetime(2026, 3, 2, tzinfo=UTC)
ROUTE = PLAN.desired.applications[0]
CHAIN = next(c for c in PLAN.desired.chains if c.id == ROUTE.chain)
CAPACITY = min(t.capacity_mbps for t in PLAN.tiers if t.tier in CHAIN.tiers)


def points(loads: dict[SeriesKey, list[float]]) -> Points:
    """Values a minute from START on."""
    rows = [(i, minute, v) for i, values in enumerate(loads.values()) for minute, v in enumerate(values)]
    stamps = np.datetime64(START.replace(tzinfo=None), "us") + np.array([m for _, m, _ in rows]) * np.timedelta64(
        1, "m"
    )
    values = np.array([v for *_, v in rows], dtype=np.float64)
    return Points(
        tuple(loads), np.array([i for i, *_ in rows], np.int32), stamps, values, np.zeros(len(rows), np.bool_)
    )


def flagged(loads: dict[SeriesKey, list[float]], *, minutes: int = 60) -> dict[SeriesKey, list[int]]:
    made = points(loads)
    found = at_capacity(made, [plan_limits(PLAN, (START, START + timedelta(minutes=minutes)), 90)])
    width = len(next(iter(loads.values())))
    return {key: np.flatnonzero(found[i * width : (i + 1) * width]).tolist() for i, key in enumerate(loads)}


def key(application: str = ROUTE.application, vpn: str = ROUTE.vpn, **more: str) -> SeriesKey:
    return SeriesKey(vpn=vpn, application=application, **more)


def test_a_tier_is_full_by_the_sum_of_those_who_share_it() -> None:
    mates = [r for r in PLAN.desired.applications if r.chain == CHAIN.id and r is not ROUTE]
    other = next(r for r in PLAN.desired.applications if r.vpn != ROUTE.vpn)
    share = CAPACITY * 0.9 / 2
    loads = {
        key(): [share, share - 1, share],
        key(mates[0].application): [share, share, 0],
        key(other.application, other.vpn): [1.0] * 3,
    }
    assert flagged(loads) == {key(): [0], key(mates[0].application): [0], key(other.application, other.vpn): []}


def test_nodes_of_the_tier_where_clients_come_in_add_up_and_those_behind_do_not_count() -> None:
    loads = {
        key(tier=CHAIN.tiers[0], node="a"): [CAPACITY * 0.5, CAPACITY * 0.1],
        key(tier=CHAIN.tiers[0], node="b"): [CAPACITY * 0.4, float("nan")],
        key(tier=CHAIN.tiers[-1], node="c"): [CAPACITY * 0.9, CAPACITY * 0.9],
    }
    assert [*flagged(loads).values()] == [[0], [0], []]


def test_only_while_the_plan_stood() -> None:
    assert flagged({key(): [float(CAPACITY)] * 4}, minutes=2) == {key(): [0, 1]}


# from a source on


@dataclass
class Server:
    """A Prometheus server of counters and gauges: what each metric showed at a time, by its labels."""

    url: str = ""
    shown: dict[str, list[tuple[dict[str, str], Callable[[np.ndarray], np.ndarray]]]] = field(default_factory=dict)
    step: int = 30


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({"status": "success", "data": [name.partition("{")[0] for name in state.shown]})

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            metric, _, rest = form["query"][0].partition("[")
            end = int(float(form["time"][0]))
            at = np.arange((end - int(rest.removesuffix("s]"))) // state.step + 1, end // state.step + 1) * state.step
            result = [
                {"metric": labels, "values": [[int(t), repr(float(v))] for t, v in zip(at, of(at), strict=True)]}
                for labels, of in state.shown[metric]
            ]
            self._answer({"status": "success", "data": {"resultType": "matrix", "result": result}})

        def _answer(self, body: dict[str, Any]) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        state.url = f"http://127.0.0.1:{http.server_port}"
        yield state
        http.shutdown()


def held(project: Project) -> Points:
    return History(FolderObjects(project.root / ".ecm/store"), "dev/history").read()


LOAD, ALLOWANCE = "ecm_traffic_bytes_total", "node_ethtool_bw_out_allowance_exceeded"


def test_an_allowance_that_was_exceeded_makes_the_node_s_points_lower_bounds(project: Project, server: Server) -> None:
    labels = {"vpn": "lab", "application": "web"}
    rose = (NOW - timedelta(hours=2)).timestamp()
    server.shown = {
        LOAD: [({**labels, "instance": f"{node}:8080"}, lambda at: at * 1e6) for node in "ab"],
        ALLOWANCE: [
            ({"instance": f"{node}:9100"}, of)
            for node, of in (("a", lambda at: 7 + np.clip(at - rose, 0, 600)), ("b", lambda at: 0 * at))
        ],
    }
    when = {"metric": ALLOWANCE, "node": {"label": "instance", "names": {"a:9100": "a:8080", "b:9100": "b:8080"}}}
    with_source(project, server.url, saturated_when=[when])
    assert project.run("collect")[0] == 0
    made = held(project)
    full = made.chosen(made.saturated)
    assert {made.series[i].node for i in full.index} == {"a:8080"}
    seconds = full.stamps.astype("datetime64[s]").astype(np.int64)
    assert sorted(seconds.tolist()) == [int(rose) + 60 * i for i in range(10)]


def test_a_metric_that_the_server_does_not_know_is_an_error_there_too(project: Project, server: Server) -> None:
    server.shown = {LOAD: []}
    with_source(project, server.url, saturated_when=[{"metric": ALLOWANCE}])
    code, _, err = project.run("collect")
    assert (code, "no such metric" in err, ALLOWANCE in err) == (1, True, True)
    with_source(project, server.url, saturated_when=[{"metric": ALLOWANCE, "node": None}])
    assert "name vpn:, tier: or node:" in project.run("collect")[2]


def test_a_metric_of_cloudwatch_marks_its_own_series(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    client = boto3.client("cloudwatch", region_name="us-east-1", config=client_config())
    series = [
        {"vpn": "lab", "application": "web", "node": f"i-{n}", "dimensions": {"InstanceId": f"i-{n}"}} for n in range(2)
    ]
    when = {"namespace": "CWAgent", "metric": "ethtool_bw_out_allowance_exceeded", "above": 5}
    source = CloudWatchSource.model_validate(
        {"name": "ec2", "namespace": "AWS/EC2", "metric": "NetworkOut", "series": series, "saturated_when": [when]}
    )
    stamps = [START + timedelta(minutes=m) for m in range(3)]

    def page(*values: list[float]) -> dict[str, Any]:
        rows = [
            {"Id": f"s{i}", "Timestamps": stamps, "Values": v, "StatusCode": "Complete"} for i, v in enumerate(values)
        ]
        return {"MetricDataResults": rows}

    with Stubber(client) as stubber:
        asked = {"MetricDataQueries": ANY, "StartTime": ANY, "EndTime": ANY, "ScanBy": ANY}
        stubber.add_response("get_metric_data", page([1e6] * 3, [1e6] * 3), asked)
        stubber.add_response("get_metric_data", page([0, 5, 6], [9, 0, 0]), asked)
        made = CloudWatch(source, client).points(START, START + timedelta(minutes=3), 1)
    assert made.saturated.tolist() == [False, False, True, True, False, False]


def of(application: str) -> str:
    return f'{LOAD}{{application="{application}"}}'


def plateau(project: Project, server: Server, full_pct: int | None) -> tuple[float, dict[str, int]]:
    """Two weeks of a daily load of which the last three hours are what the applied plan can carry.

    The last day comes from two sources, what was before from a file. Return that plateau of each application, and the
    forecast of the maximum over the window (P50).
    """
    assert project.plan()[0] in (10, 11)
    (path,) = (project.root / ".ecm" / "store" / "dev" / "plans").glob("*.json")
    capacity = min(tier["capacity_mbps"] for tier in json.loads(path.read_text())["tiers"])
    journal = Journal(FolderObjects(project.root / ".ecm" / "store"), "dev/journal.jsonl")
    journal.append(EntryKind.APPLIED, at=NOW - timedelta(days=30), plan=f"sha256:{path.stem}", who="tests")
    end = int(NOW.timestamp())
    at = np.arange(end - 16 * 86400, end + 86400, server.step)
    usual = capacity * (0.6 + 0.25 * np.sin(2 * np.pi * (at / 86400 - 0.25)))
    full = capacity * (1 + 0.01 * np.sin(at / 997))  # no value stands still: that would be an exporter that is stuck
    each = np.where(at >= end - 3 * 3600, full, usual) / 2
    counted = np.concatenate(([0.0], np.cumsum(each * server.step * 1e6 / 8)))[:-1]
    server.shown = {
        of(name): [({"vpn": "lab", "application": name, "instance": "a"}, lambda t: np.interp(t, at, counted))]
        for name in ("web", "desktop")
    }
    with_source(project, server.url, collection={"back_fill_days": 1, "interval_min": 15, "saturated_at_pct": full_pct})
    path = project.root / "stacks" / "Pulumi.dev.yaml"
    document = yaml.safe_load(path.read_text())
    sources = [{"name": name, "url": server.url, "metric": of(name)} for name in ("web", "desktop")]
    document["config"]["endpoint-chain-manager:telemetry"]["prometheus"] = sources
    path.write_text(yaml.safe_dump(document))
    before = at[(at < end - 86400 - 900) & (at >= end - 14 * 86400) & (at % 900 == 0)]
    lines = [
        f"{datetime.fromtimestamp(t, UTC).isoformat()},lab,{name},{load}"
        for t, load in zip(before, np.interp(before, at, each), strict=True)
        for name in ("web", "desktop")
    ]
    (project.root / "before.csv").write_text("\n".join(["timestamp,vpn,application,mbps", *lines, ""]))
    assert project.run("collect", str(project.root / "before.csv"))[0] == 0
    assert project.run("collect")[0] == 0
    made = project.json("forecast", "--as-of", NOW.isoformat())
    return capacity / 2, {a["application"]: a["window_p50_mbps"] for a in made["applications"]}


@pytest.mark.parametrize("full_pct", [95, None])
def test_a_plateau_at_capacity_does_not_become_the_forecast(
    project: Project, server: Server, full_pct: int | None
) -> None:
    server.step = 300
    each, forecast = plateau(project, server, full_pct)
    made = held(project)
    full = made.chosen(made.saturated)
    if full_pct is None:
        assert not len(full)
        assert max(forecast.values()) < 1.05 * each, "the plateau is taken for the demand"
        return
    assert sorted({made.series[i].application for i in full.index}) == ["desktop", "web"]
    assert full.stamps.min() >= np.datetime64((NOW - timedelta(hours=3, minutes=15)).replace(tzinfo=None))
    assert min(forecast.values()) > 1.2 * each
    assert project.run("collect")[0] == 0
    again = held(project)
    np.testing.assert_array_equal(again.saturated, made.saturated, "what is asked for again is marked again")
