"""What changes from outside: a client's peer is added, and an instance is terminated behind ECM's back."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from ecm.model.plan import ChangeKind
from ecm.model.report import Report
from tests.e2e.inventory import INSTANCE, INTERFACE, OBJECT
from tests.e2e.project import NIGHT, Project, Result, Turn

pytestmark = [pytest.mark.engine, pytest.mark.slow]
PEER = {"id": "alice", "public_key": "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=", "address": "100.64.0.17"}
LOST = "lab-in-us-east-1a-0-g1"


@pytest.fixture(scope="module")
def project(start) -> Project:
    project = start("dev")
    project.load({"web": 300, "desktop": 200})
    return project


@pytest.fixture(scope="module")
def created(project) -> Turn:
    return project.turn(NIGHT, preview=False)


@pytest.fixture(scope="module")
def joined(project, created) -> Turn:
    shard = project.folder / ".ecm" / "store" / "dev" / "clients" / "lab" / "people.json"
    shard.parent.mkdir(parents=True)
    shard.write_text(json.dumps({"peers": [PEER]}))
    return project.turn(NIGHT)


@dataclass(frozen=True)
class Loss:
    verify: Result
    mended: Turn
    drift: bool


@pytest.fixture(scope="module")
def loss(project, joined) -> Loss:
    project.aws.client("ec2").terminate_instances(InstanceIds=[joined.after.nodes[LOST]])
    verify = project.ecm("verify", "--json")
    mended = project.turn(NIGHT)
    return Loss(verify, mended, project.no_change().ok)


def test_peer_changes_configuration_objects_only(joined: Turn, created: Turn) -> None:
    assert {c.kind for c in joined.plan.changes} == {ChangeKind.CONFIGURE}
    touched = joined.previewed()
    assert touched
    assert {kind for kind, _ in touched} == {OBJECT}
    assert {s["op"] for s in joined.preview["changes"]} == {"update"}
    assert sum(joined.counts.values()) - joined.counts["same"] == len(touched)
    assert joined.after == created.after
    assert (joined.verified, joined.report.findings) == (0, ())


def test_peer_reaches_the_configuration(project: Project, joined: Turn) -> None:
    [bucket] = joined.after.named("aws:s3/bucket:Bucket").values()
    body = project.aws.client("s3").get_object(Bucket=bucket, Key="vpns/lab/peers.json")["Body"].read().decode()
    assert PEER["public_key"] in body
    assert PEER["address"] in body


def test_terminated_instance_is_found(loss: Loss) -> None:
    assert loss.verify.code == 10
    report = Report.model_validate(loss.verify.data)
    missing = {(f.kind, f.subject) for f in report.findings if f.kind == "instance-missing"}
    assert missing == {("instance-missing", "slot lab-in/us-east-1a/0 generation 1")}


def test_terminated_instance_is_replaced_and_nothing_else(loss: Loss, joined: Turn) -> None:
    turn = loss.mended
    successor = LOST.replace("-g1", "-g2")
    assert set(turn.after.nodes) == {*joined.after.nodes, successor} - {LOST}
    assert {n: i for n, i in turn.after.nodes.items() if n != successor} == {
        n: i for n, i in joined.after.nodes.items() if n != LOST
    }
    nodes = {
        (op["op"], op["type"], op["name"]) for op in turn.preview["changes"] if op["type"] in {INSTANCE, INTERFACE}
    }
    assert {n for n in nodes if n[1] == INSTANCE} == {("create", INSTANCE, successor), ("delete", INSTANCE, LOST)}
    assert {op for op, _, _ in nodes} == {"create", "delete"}
    assert (turn.verified, turn.report.findings) == (0, ())
    assert loss.drift, "the engine must have nothing left to do"
