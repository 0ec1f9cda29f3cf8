"""Points from CloudWatch: batches, pages, throttling and refusals, and what is wrong with a source."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
import yaml
from botocore.stub import ANY, Stubber
from moto import mock_aws

from ecm.aws import AwsError, client_config
from ecm.aws.metrics import QUERIES, CloudWatch
from ecm.model.collection import CloudWatchSource
from ecm.store.folder import FolderObjects
from ecm.store.history import History
from tests.cli import NOW

START = datetime(2026, 3, 2, tzinfo=UTC)
END = START + timedelta(minutes=3)


def source(count: int = 1, **more: Any) -> CloudWatchSource:
    series = [
        {"vpn": "lab", "application": "web", "node": f"i-{n}", "dimensions": {"InstanceId": f"i-{n}"}}
        for n in range(count)
    ]
    return CloudWatchSource.model_validate(
        {"name": "ec2", "namespace": "AWS/EC2", "metric": "NetworkOut", "series": series, **more}
    )


def result(number: int, minutes: list[int], values: list[float], status: str = "Complete") -> dict[str, Any]:
    stamps = [START + timedelta(minutes=m) for m in minutes]
    return {"Id": f"s{number}", "Timestamps": stamps, "Values": values, "StatusCode": status}


@pytest.fixture
def stubbed(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    client = boto3.client("cloudwatch", region_name="us-east-1", config=client_config())
    with Stubber(client) as stubber:
        yield client, stubber
        stubber.assert_no_pending_responses()


def test_pages_are_read_to_the_last_and_sums_become_rates(stubbed):
    client, stubber = stubbed
    asked = {"MetricDataQueries": ANY, "StartTime": START, "EndTime": END, "ScanBy": "TimestampAscending"}
    pages = [
        {"MetricDataResults": [result(0, [0], [60e6 / 8], "PartialData")], "NextToken": "more"},
        {"MetricDataResults": [], "NextToken": "still"},
        {"MetricDataResults": [result(0, [1, 2], [120e6 / 8, 0.0]), result(1, [2], [600e6 / 8])]},
    ]
    for page, token in zip(pages, (None, "more", "still"), strict=True):
        stubber.add_response("get_metric_data", page, {**asked, **({"NextToken": token} if token else {})})
    made = CloudWatch(source(2), client).points(START, END, 1)
    assert [(made.series[i].node, v) for i, v in zip(made.index, made.mbps, strict=True)] == [
        ("i-0", 1.0), ("i-0", 2.0), ("i-0", 0.0), ("i-1", 10.0),
    ]  # fmt: skip
    assert made.stamps.tolist()[-1] == datetime(2026, 3, 2, 0, 2)  # noqa: DTZ001 - numpy knows no zones


def test_many_series_are_asked_for_in_batches(stubbed):
    client, stubber = stubbed
    for first, count in ((0, QUERIES), (QUERIES, 3)):
        page = {"MetricDataResults": [result(n, [0], [7.5e6]) for n in range(first, first + count)]}
        stubber.add_response("get_metric_data", page)
    made = CloudWatch(source(QUERIES + 3), client).points(START, END, 1)
    assert {made.series[i].node for i in made.index} == {f"i-{n}" for n in range(QUERIES + 3)}
    assert set(made.mbps) == {1.0}


def test_an_average_is_a_rate_already(stubbed):
    client, stubber = stubbed
    stubber.add_response("get_metric_data", {"MetricDataResults": [result(0, [0], [3000.0])]})
    made = CloudWatch(source(statistic="Average", unit="kilobits"), client).points(START, END, 1)
    assert made.mbps.tolist() == [3.0]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("InvalidClientTokenId", "does not accept these credentials"),
        ("AccessDenied", "not allowed"),
        ("ExpiredToken", "have expired"),
        ("Throttling", "Throttling"),
        ("InternalServiceFault", "InternalServiceFault"),
    ],
)
def test_what_aws_refuses_is_said(stubbed, code, said):
    client, stubber = stubbed
    stubber.add_client_error("get_metric_data", code, "no", http_status_code=400)
    with pytest.raises(AwsError, match=said):
        CloudWatch(source(), client).points(START, END, 1)


def test_a_series_that_is_not_whole_is_no_answer(stubbed):
    client, stubber = stubbed
    stubber.add_response("get_metric_data", {"MetricDataResults": [result(0, [0], [1.0], "InternalError")]})
    with pytest.raises(AwsError, match="InternalError"):
        CloudWatch(source(), client).points(START, END, 1)


@pytest.fixture
def cloud(project, monkeypatch):
    """A stack with a source of CloudWatch's, as moto serves it, and its client."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    path = project.root / "stacks" / "Pulumi.dev.yaml"
    document = yaml.safe_load(path.read_text())
    series = [{"vpn": "lab", "application": "web", "node": "a", "dimensions": {"Node": "a"}}]
    wanted = {"name": "nodes", "namespace": "Vpn", "metric": "Bytes", "series": series}
    document["config"]["endpoint-chain-manager:telemetry"] = {"back_fill_days": 1, "cloudwatch": [wanted]}
    path.write_text(yaml.safe_dump(document))
    region = yaml.safe_load((project.root / "stacks" / "dev.fleet.yaml").read_text())["region"]
    with mock_aws():
        yield project, boto3.client("cloudwatch", region_name=region)


def put(client, minutes: int, value: float) -> None:
    dimensions = [{"Name": "Node", "Value": "a"}]
    at = NOW - timedelta(minutes=minutes)
    client.put_metric_data(
        Namespace="Vpn",
        MetricData=[{"MetricName": "Bytes", "Dimensions": dimensions, "Timestamp": at, "Value": value}],
    )


def test_what_went_into_cloudwatch_is_in_the_history(cloud):
    project, client = cloud
    for minutes, value in ((30, 60e6 / 8), (30, 60e6 / 8), (29, 180e6 / 8), (1, 1.0)):
        put(client, minutes, value)
    assert project.json("collect")["sources"][0]["points"] == 2
    found = History(FolderObjects(project.root / ".ecm/store"), "dev/history").read()
    assert found.mbps.tolist() == [2.0, 3.0]
    assert found.stamps[0].item() == (NOW - timedelta(minutes=30)).replace(tzinfo=None)
    assert found.series[found.index[0]].node == "a"


def test_a_metric_that_cloudwatch_does_not_know_is_said(cloud):
    project, _ = cloud
    code, _, err = project.run("collect")
    assert (code, "CloudWatch knows no Vpn/Bytes" in err) == (1, True)


def test_an_application_that_the_fleet_does_not_know_is_said(cloud):
    project, _ = cloud
    project.edit("stacks/Pulumi.dev.yaml", "application: web", "application: webb")
    code, _, err = project.run("collect")
    assert (code, "the fleet has no lab/webb" in err) == (1, True)
