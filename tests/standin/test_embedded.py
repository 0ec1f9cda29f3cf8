"""The processes: the embedded AWS and the plugin start, say where they are, and end with their parents."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from botocore.exceptions import EndpointConnectionError
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from tools.standin import embedded
from tools.standin.embedded import PLUGIN, REAL_PLUGIN, EmbeddedAws, environment, real_plugin
from tools.standin.wire import encode

ROOT = Path(__file__).parents[2]
WAIT_S = 20


def launch(environment_: dict[str, str]) -> tuple[subprocess.Popen[bytes], int]:
    """Start the plugin as the engine does; return it and its port."""
    path = environment_["PATH"].split(os.pathsep)[0]
    process = subprocess.Popen(
        [f"{path}/{PLUGIN}", "127.0.0.1:1"], stdout=subprocess.PIPE, env={**os.environ, **environment_}, cwd="/"
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


@pytest.fixture
def plugin_process(aws: EmbeddedAws) -> Any:
    process, port = launch(aws.environment)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield process, provider_pb2_grpc.ResourceProviderStub(channel)
    process.kill()
    process.wait()


class TestPlugin:
    def test_it_answers_as_the_installed_version_and_makes_a_vpc(self, plugin_process: Any) -> None:
        _, stub = plugin_process
        assert stub.GetPluginInfo(empty_pb2.Empty()).version.startswith("7.")
        config = encode({"region": "us-east-1", "defaultTags": json.dumps({"tags": {"owner": "x"}})})
        assert not stub.CheckConfig(provider_pb2.CheckRequest(news=config)).failures
        assert stub.Configure(provider_pb2.ConfigureRequest(args=config)).supportsPreview
        urn = "urn:pulumi:t::p::aws:ec2/vpc:Vpc::v"
        inputs = stub.Check(provider_pb2.CheckRequest(urn=urn, news=encode({"cidrBlock": "10.0.0.0/16"}))).inputs
        assert inputs.fields["tags"].struct_value["owner"] == "x"
        made = stub.Create(provider_pb2.CreateRequest(urn=urn, properties=inputs))
        assert made.id.startswith("vpc-")
        stub.Delete(provider_pb2.DeleteRequest(urn=urn, id=made.id, properties=made.properties))

    def test_it_ends_on_cancel(self, plugin_process: Any) -> None:
        process, stub = plugin_process
        stub.Cancel(empty_pb2.Empty())
        assert process.wait(WAIT_S) == 0

    def test_it_ends_on_sigterm(self, plugin_process: Any) -> None:
        process, _ = plugin_process
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0

    def test_it_ends_when_its_engine_is_gone(self, aws: EmbeddedAws) -> None:
        plugin = f"{aws.environment['PATH'].split(os.pathsep)[0]}/{PLUGIN}"
        engine = (
            "import subprocess\n"
            f"plugin = subprocess.Popen([{plugin!r}, 'x'], stdout=subprocess.PIPE)\n"
            "plugin.stdout.readline()\n"
            "print(plugin.pid)"
        )
        variables = {**os.environ, **aws.environment}
        run = subprocess.run([sys.executable, "-c", engine], capture_output=True, env=variables, check=True)
        gone = threading.Event()
        for _ in range(WAIT_S * 5):
            if not Path(f"/proc/{run.stdout.decode().strip()}").exists():
                gone.set()
                break
            threading.Event().wait(0.2)
        assert gone.is_set()

    def test_without_an_embedded_aws_it_refuses_to_work(self, aws: EmbeddedAws) -> None:
        process, port = launch({**aws.environment, "AWS_ENDPOINT_URL": "https://ec2.amazonaws.com"})
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = provider_pb2_grpc.ResourceProviderStub(channel)
            with pytest.raises(grpc.RpcError, match="loopback only"):
                stub.Configure(provider_pb2.ConfigureRequest(args=encode({"region": "us-east-1"})))
        process.kill()
        process.wait()


class TestServer:
    def test_parallel_requests_do_not_disturb_each_other(self, aws: EmbeddedAws) -> None:
        ec2 = aws.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/20")["Subnet"]["SubnetId"]
        with ThreadPoolExecutor(16) as pool:
            made = list(
                pool.map(lambda _: ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"], range(100))
            )
        assert len({eni["PrivateIpAddress"] for eni in made}) == 100
        for eni in made:
            ec2.delete_network_interface(NetworkInterfaceId=eni["NetworkInterfaceId"])
        ec2.delete_subnet(SubnetId=subnet)
        ec2.delete_vpc(VpcId=vpc)

    def test_it_ends_with_the_one_that_started_it(self, tmp_path: Path) -> None:
        other = EmbeddedAws(tmp_path / "aws")
        with other:
            client = other.client("sts")
            assert client.get_caller_identity()["Account"] == "123456789012"
        with pytest.raises(EndpointConnectionError):
            client.get_caller_identity()

    def test_a_server_that_does_not_start_shows_its_log(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(embedded, "_ROOT", tmp_path)
        monkeypatch.setattr(embedded.sys, "executable", "/bin/false")
        with pytest.raises(embedded.StartError, match="did not start"):
            EmbeddedAws(tmp_path / "aws").start()


class TestEnvironment:
    def test_everything_points_at_loopback_and_the_folder(self, tmp_path: Path) -> None:
        variables = environment("http://127.0.0.1:5", tmp_path)
        assert variables["AWS_ENDPOINT_URL"] == "http://127.0.0.1:5"
        assert variables["PULUMI_BACKEND_URL"] == f"file://{tmp_path}/pulumi-state"
        launcher = Path(variables["PATH"].split(os.pathsep)[0]) / PLUGIN
        assert os.access(launcher, os.X_OK)
        assert launcher.is_relative_to(tmp_path)
        before = launcher.stat().st_mtime_ns
        environment("http://127.0.0.1:6", tmp_path)
        assert launcher.stat().st_mtime_ns == before, "an update that runs keeps its plugin"

    def test_the_real_plugin_is_used_when_asked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        real = tmp_path / "real" / PLUGIN
        real.parent.mkdir()
        real.write_bytes(b"\x7fELF")
        real.chmod(0o755)
        monkeypatch.setenv("PATH", f"{real.parent}{os.pathsep}{os.environ['PATH']}")
        assert real_plugin() == real
        assert environment("http://127.0.0.1:5", tmp_path)["PATH"].startswith(str(tmp_path / "bin"))
        monkeypatch.setenv(REAL_PLUGIN, "1")
        assert environment("http://127.0.0.1:5", tmp_path)["PATH"].startswith(str(real.parent))

    def test_our_own_launcher_is_not_the_real_plugin(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        variables = environment("http://127.0.0.1:5", tmp_path)
        monkeypatch.setenv("PATH", variables["PATH"])
        monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
        assert real_plugin() is None

    def test_a_person_gets_the_same_environment(self, tmp_path: Path) -> None:
        command = [
            sys.executable,
            "-m",
            "tools.standin",
            "env",
            "--endpoint",
            "http://127.0.0.1:5",
            "--folder",
            str(tmp_path),
        ]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert "export AWS_ENDPOINT_URL=http://127.0.0.1:5\n" in run.stdout
        wrong = subprocess.run(
            [sys.executable, "-m", "tools.standin"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert wrong.returncode == 64
        assert "usage" in wrong.stderr


def test_ecm_never_imports_a_double() -> None:
    for source in (ROOT / "ecm").rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "tools" for name in names), source
