"""The real Pulumi engine on the stand-in: create, no-op, update, replace, drift, faults and destroy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecm.engine import MissingPulumi, Options, Outcome, Stack, locate
from tools.standin.embedded import EmbeddedAws

pytestmark = [pytest.mark.engine, pytest.mark.slow]

IMAGE, OTHER_IMAGE = "ami-0ec0a0000000a0001", "ami-0ec0a0000000a0002"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[tuple[Stack, EmbeddedAws]]:
    try:
        toolchain = locate(os.environ)
    except MissingPulumi as missing:
        pytest.skip(str(missing))
    project = tmp_path / "project"
    shutil.copytree(Path(__file__).parent / "program", project)
    with EmbeddedAws(tmp_path / "aws") as aws:
        made = Stack(toolchain, project, "test", {**os.environ, **aws.environment})
        made.select(create=True)
        made.set_config("nodes", "1")
        made.set_config("image", IMAGE)
        yield made, aws


def changed(outcome: Outcome) -> set[tuple[str, str]]:
    """(operation, name) of what changed."""
    return {(step.op, step.name) for step in outcome.changes}


def test_life_of_a_stack(stack: tuple[Stack, EmbeddedAws]) -> None:
    engine, aws = stack
    created = engine.up()
    assert created.ok, created.output
    assert created.count("create") == 9  # eight resources and the stack itself
    again = engine.up(Options(expect_no_changes=True))
    assert again.ok, again.output
    _half_made(engine, aws)
    _no_capacity(engine, aws)
    _drift(engine, aws)
    _replace(engine, aws)
    assert engine.destroy().ok
    ec2 = aws.client("ec2")
    assert ec2.describe_network_interfaces()["NetworkInterfaces"] == []
    assert [v for v in ec2.describe_vpcs()["Vpcs"] if not v["IsDefault"]] == []
    assert aws.client("s3").list_buckets()["Buckets"] == []


def _half_made(engine: Stack, aws: EmbeddedAws) -> None:
    """What was made before a failure is in the state, and the next update finishes it instead of making another."""
    before = engine.outputs()
    aws.faults({"fail": [{"action": "ModifyNetworkInterfaceAttribute"}]})
    engine.set_config("content", '{"new": true}')
    engine.set_config("nodes", "2")
    failed = engine.up()
    assert not failed.ok
    assert any("injected fault" in error.message for error in failed.errors)
    aws.faults()
    grown = engine.up()
    assert changed(grown) == {("update", "node-1"), ("create", "node-1")}, grown.output
    interfaces = aws.client("ec2").describe_network_interfaces()["NetworkInterfaces"]
    assert {eni["SourceDestCheck"] for eni in interfaces} == {False}
    assert len(interfaces) == 2
    assert engine.outputs()["version"] != before["version"]
    assert engine.outputs()["nodes"]["node-0"] == before["nodes"]["node-0"]


def _no_capacity(engine: Stack, aws: EmbeddedAws) -> None:
    aws.faults({"no_capacity": [{"shape": "c7gn.large", "zone": "us-east-1a"}]})
    engine.set_config("nodes", "3")
    failed = engine.up()
    assert not failed.ok
    assert any("InsufficientInstanceCapacity" in error.message for error in failed.errors)
    aws.faults()
    engine.set_config("nodes", "2")
    assert changed(engine.up()) == {("delete", "node-2")}  # the interface that the failed instance was to have


def _drift(engine: Stack, aws: EmbeddedAws) -> None:
    node = engine.outputs()["nodes"]["node-0"]
    aws.client("ec2").create_tags(Resources=[node], Tags=[{"Key": "by", "Value": "hand"}])
    aws.client("ec2").terminate_instances(InstanceIds=[engine.outputs()["nodes"]["node-1"]])
    assert engine.drift().unexpected_changes
    assert engine.refresh().ok
    mended = engine.up()
    assert changed(mended) == {("update", "node-0"), ("create", "node-1")}, mended.output
    tags = aws.client("ec2").describe_tags(Filters=[{"Name": "resource-id", "Values": [node]}])["Tags"]
    assert {tag["Key"] for tag in tags} == {"ecm:stack"}


def _replace(engine: Stack, aws: EmbeddedAws) -> None:
    before = engine.outputs()["nodes"]
    engine.set_config("image", OTHER_IMAGE)
    preview = engine.preview()
    assert {step.name: step.replace_keys for step in preview.changes if step.op == "replace"} == {
        "node-0": ("ami",),
        "node-1": ("ami",),
    }
    assert engine.up().ok
    after = engine.outputs()["nodes"]
    assert set(before.values()) & set(after.values()) == set()
    running = aws.client("ec2").describe_instances(InstanceIds=list(after.values()))
    assert {i["ImageId"] for r in running["Reservations"] for i in r["Instances"]} == {OTHER_IMAGE}
