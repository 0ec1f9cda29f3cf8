"""A node's three kinds of requests against the embedded AWS: its bucket, its secrets, and the metadata service."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import pytest

from ecm import signing
from ecm.agent.cloud import BucketSource, ManagedSecrets, meter
from ecm.agent.identity import TAGS
from ecm.agent.pull import Puller
from ecm.agent.settings import Settings
from ecm.agent.source import Fetched, SourceError, Unchanged
from ecm.agent.version import Identity
from ecm.aws import AwsError, instance_tags, node_clients
from ecm.model.contract import METRIC_NAMESPACE, PROBE_METRIC
from ecm.model.manifest import Manifest, SignedObject
from tests.unit.agent_nodes import KEY, SLOT, rendered
from tools.standin.embedded import EmbeddedAws

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    with EmbeddedAws(tmp_path_factory.mktemp("aws")) as embedded, pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
            patch.setenv(name, embedded.environment[name])
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="ecm-dev-config")
        secrets = boto3.client("secretsmanager", region_name="us-east-1")
        secrets.create_secret(Name="ecm/dev/edge/edge", SecretString="a key\n")
        secrets.create_secret(Name="ecm/dev/pair/edge/out")
        yield embedded


def test_an_object_is_read_once_and_then_only_when_it_changed(aws: EmbeddedAws) -> None:
    source = BucketSource(node_clients("ecm-dev-config", "us-east-1")[0])
    assert source.fetch("keys/a/g1.pub", 100) is None
    source.publish("keys/a/g1.pub", b"one")
    first = source.fetch("keys/a/g1.pub", 100)
    assert isinstance(first, Fetched)
    assert first.data == b"one"
    assert isinstance(source.fetch("keys/a/g1.pub", 100, first.version), Unchanged)
    source.publish("keys/a/g1.pub", b"two")
    second = source.fetch("keys/a/g1.pub", 100, first.version)
    assert isinstance(second, Fetched)
    assert second.data == b"two"
    with pytest.raises(SourceError, match="more than 2 bytes"):
        source.fetch("keys/a/g1.pub", 2)


def test_a_metric_arrives_with_its_dimensions(aws: EmbeddedAws) -> None:
    dimensions = [{"Stack": "dev", "Chain": chain} for chain in ("fast", "guarded & slow")]
    found = meter(Settings.model_validate({"source": {"bucket": "ecm-dev-config", "region": "us-east-1"}}))
    assert found is not None
    found.put(PROBE_METRIC, [(dimensions[0], 1.0), (dimensions[1], 0.0)])
    cloudwatch = boto3.client("cloudwatch", region_name="us-east-1")
    now = datetime.now(UTC)  # noqa: TID251 - moto's clock
    for asked, average in zip(dimensions, (1.0, 0.0), strict=True):
        points = cloudwatch.get_metric_statistics(
            Namespace=METRIC_NAMESPACE,
            MetricName=PROBE_METRIC,
            Dimensions=[{"Name": name, "Value": value} for name, value in asked.items()],
            StartTime=now - timedelta(minutes=5),
            EndTime=now + timedelta(minutes=5),
            Period=60,
            Statistics=["Average"],
        )["Datapoints"]
        assert [p["Average"] for p in points] == [average]


def test_where_a_folder_is_the_source_there_is_no_cloudwatch(tmp_path: Path) -> None:
    assert meter(Settings.model_validate({"source": {"folder": tmp_path}})) is None


def test_a_secret_is_read_and_one_without_a_value_is_none(aws: EmbeddedAws) -> None:
    secrets = ManagedSecrets(node_clients("ecm-dev-config", "us-east-1")[1])
    assert secrets.read("ecm/dev/edge/edge") == "a key"
    assert secrets.read("ecm/dev/pair/edge/out") is None
    assert secrets.read("ecm/dev/never/made") is None


def test_a_bucket_that_is_away_is_an_error_in_words(aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    source = BucketSource(node_clients("ecm-dev-config", "us-east-1")[0])
    with pytest.raises(SourceError, match="cannot GET http"):
        source.fetch("manifest.json", 100)


PULL = """
import sys
from ecm.agent import loop, measure
from ecm.agent.cloud import BucketSource, ManagedSecrets, meter
from ecm.agent.pull import Puller
from ecm.agent.version import Identity
from ecm.aws import node_clients
bucket, secrets = node_clients("ecm-dev-config", "us-east-1")
who = Identity("dev", "edge/us-east-1a/0", 1)
version = Puller(BucketSource(bucket), who, (sys.argv[1],), None).pull(lambda _: None)
assert version.document.node.slot == "edge/us-east-1a/0" and ManagedSecrets(secrets).read("ecm/dev/edge/edge")
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def test_a_node_pulls_its_version_from_the_bucket_in_the_memory_that_it_has(aws: EmbeddedAws) -> None:
    s3 = boto3.client("s3", region_name="us-east-1")
    for item in rendered().objects:
        s3.put_object(Bucket="ecm-dev-config", Key=item.key, Body=item.text.encode())
    listed = tuple(SignedObject(key=o.key, digest=o.digest) for o in rendered().objects)
    manifest = Manifest(stack="dev", serial=1, plan="sha256:" + "0" * 64, objects=listed)
    s3.put_object(Bucket="ecm-dev-config", Key="manifest.json", Body=signing.sign(manifest, [KEY]))
    done = subprocess.run(
        [sys.executable, "-c", PULL, KEY.public], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 80 * 1024
    source = BucketSource(node_clients("ecm-dev-config", "us-east-1")[0])
    puller = Puller(source, Identity("dev", SLOT, 1), (KEY.public,), None)
    assert puller.pull(lambda _: None) is not None
    assert puller.pull(lambda _: None) is None


def test_an_instance_knows_by_its_tags_who_it_is() -> None:
    tags = {"ecm:stack": "dev", "ecm:slot": SLOT, "ecm:generation": "1", "ecm:config": "b", "ecm:signers": "k"}
    pages = {f"/latest/meta-data/tags/instance/{name}": text for name, text in tags.items()}
    pages["/latest/meta-data/placement/region"] = "us-east-1"

    class Metadata(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.answer("token" if self.headers["X-aws-ec2-metadata-token-ttl-seconds"] else None)

        def do_GET(self) -> None:
            self.answer(pages.get(self.path) if self.headers["X-aws-ec2-metadata-token"] == "token" else None)

        def answer(self, text: str | None) -> None:
            self.send_response(200 if text else 404)
            self.end_headers()
            self.wfile.write((text or "").encode())

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        found = instance_tags(TAGS, "127.0.0.1", server.server_port)
    finally:
        server.shutdown()
        server.server_close()
    assert found == tags | {"region": "us-east-1"}
    with pytest.raises(AwsError, match="--settings"):
        instance_tags(TAGS, "127.0.0.1", server.server_port)
