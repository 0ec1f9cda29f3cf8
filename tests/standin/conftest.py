"""An embedded AWS for each test process, and a plugin over gRPC in the test's own process."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.rpc import status_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from tools.standin.core import Standin
from tools.standin.embedded import EmbeddedAws
from tools.standin.kind import Aws
from tools.standin.provider import Servicer
from tools.standin.wire import decode, encode

SEED = b"0123456789abcdef0123456789abcdef"


class CheckError(AssertionError):
    """The provider found something wrong with a resource's inputs."""


@dataclass
class Resource:
    """A resource that the plugin made."""

    type_name: str
    name: str
    id: str
    inputs: dict[str, Any]
    state: dict[str, Any]

    def __getitem__(self, output: str) -> Any:
        return self.state[output]


@dataclass
class Plugin:
    """The engine's side of the protocol: check, then create, diff, update, read or delete."""

    stub: provider_pb2_grpc.ResourceProviderStub
    made: list[Resource] = field(default_factory=list)

    def urn(self, type_name: str, name: str) -> str:
        return f"urn:pulumi:test::standin::{type_name}::{name}"

    def check(self, type_name: str, name: str, olds: dict[str, Any] | None = None, /, **news: Any) -> dict[str, Any]:
        answer = self.stub.Check(
            provider_pb2.CheckRequest(
                urn=self.urn(type_name, name), olds=encode(olds or {}), news=encode(news), randomSeed=SEED
            )
        )
        if answer.failures:
            raise CheckError("; ".join(f"{f.property}: {f.reason}" for f in answer.failures))
        return decode(answer.inputs)

    def preview(self, type_name: str, name: str, /, **news: Any) -> dict[str, Any]:
        inputs = self.check(type_name, name, **news)
        request = provider_pb2.CreateRequest(urn=self.urn(type_name, name), properties=encode(inputs), preview=True)
        answer = self.stub.Create(request)
        assert answer.id == ""
        return decode(answer.properties)

    def create(self, type_name: str, name: str, /, **news: Any) -> Resource:
        inputs = self.check(type_name, name, **news)
        request = provider_pb2.CreateRequest(urn=self.urn(type_name, name), properties=encode(inputs))
        answer = self.stub.Create(request)
        resource = Resource(type_name, name, answer.id, inputs, decode(answer.properties))
        self.made.append(resource)
        return resource

    def diff(self, resource: Resource, **news: Any) -> provider_pb2.DiffResponse:
        inputs = self.check(resource.type_name, resource.name, resource.inputs, **news)
        return self.stub.Diff(
            provider_pb2.DiffRequest(
                id=resource.id,
                urn=self.urn(resource.type_name, resource.name),
                olds=encode(resource.state),
                old_inputs=encode(resource.inputs),
                news=encode(inputs),
            )
        )

    def update(self, resource: Resource, *, preview: bool = False, **news: Any) -> dict[str, Any]:
        inputs = self.check(resource.type_name, resource.name, resource.inputs, **news)
        answer = self.stub.Update(
            provider_pb2.UpdateRequest(
                id=resource.id,
                urn=self.urn(resource.type_name, resource.name),
                olds=encode(resource.state),
                old_inputs=encode(resource.inputs),
                news=encode(inputs),
                preview=preview,
            )
        )
        state = decode(answer.properties)
        if not preview:
            resource.inputs, resource.state = inputs, state
        return state

    def read(self, resource: Resource) -> Resource | None:
        answer = self.stub.Read(
            provider_pb2.ReadRequest(
                id=resource.id,
                urn=self.urn(resource.type_name, resource.name),
                properties=encode(resource.state),
                inputs=encode(resource.inputs),
            )
        )
        if not answer.id:
            return None
        return Resource(resource.type_name, resource.name, answer.id, decode(answer.inputs), decode(answer.properties))

    def delete(self, resource: Resource) -> None:
        self.stub.Delete(
            provider_pb2.DeleteRequest(
                id=resource.id,
                urn=self.urn(resource.type_name, resource.name),
                properties=encode(resource.state),
                old_inputs=encode(resource.inputs),
            )
        )
        self.made.remove(resource)

    def clean(self) -> None:
        """Delete what is left, last made first: nothing may refuse by then."""
        for resource in reversed(list(self.made)):
            self.delete(resource)


def init_failed(error: grpc.RpcError) -> provider_pb2.ErrorResourceInitFailed:
    """Return the detail that tells the engine of a resource that exists but failed."""
    metadata = {item.key: item.value for item in error.trailing_metadata()}
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    detail = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(detail)
    return detail


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    with EmbeddedAws(tmp_path_factory.mktemp("aws")) as embedded:
        yield embedded


@pytest.fixture(scope="session")
def stub(aws: EmbeddedAws) -> Iterator[provider_pb2_grpc.ResourceProviderStub]:
    keys = {"aws_access_key_id": "embedded", "aws_secret_access_key": "embedded"}
    standin = Standin(Aws(aws.region, endpoint_url=aws.endpoint, **keys))
    server = grpc.server(ThreadPoolExecutor(8))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer(lambda: None, standin), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield provider_pb2_grpc.ResourceProviderStub(channel)
    server.stop(grace=None)


@pytest.fixture
def plugin(aws: EmbeddedAws, stub: provider_pb2_grpc.ResourceProviderStub) -> Iterator[Plugin]:
    engine = Plugin(stub)
    aws.faults()
    yield engine
    aws.faults()
    engine.clean()


@dataclass
class Site:
    """A network with room for nodes: a VPC with its gateway, a subnet and a security group."""

    vpc: Resource
    gateway: Resource
    subnet: Resource
    group: Resource


@pytest.fixture
def site(plugin: Plugin) -> Site:
    vpc = plugin.create("aws:ec2/vpc:Vpc", "site", cidrBlock="10.0.0.0/16")
    gateway = plugin.create("aws:ec2/internetGateway:InternetGateway", "site", vpcId=vpc.id)
    subnet = plugin.create(
        "aws:ec2/subnet:Subnet", "site", vpcId=vpc.id, cidrBlock="10.0.1.0/24", availabilityZone="us-east-1a"
    )
    group = plugin.create("aws:ec2/securityGroup:SecurityGroup", "site", vpcId=vpc.id, description="nodes")
    return Site(vpc, gateway, subnet, group)


def interface(plugin: Plugin, site: Site, ip: str, name: str = "node") -> Resource:
    return plugin.create(
        "aws:ec2/networkInterface:NetworkInterface",
        name,
        subnetId=site.subnet.id,
        privateIps=[ip],
        securityGroups=[site.group.id],
        sourceDestCheck=False,
        description="node",
        tags={"ecm:slot": "edge/us-east-1a/0"},
    )


def instance(plugin: Plugin, eni: Resource, name: str = "node", shape: str = "c7gn.large", **more: Any) -> Resource:
    return plugin.create(
        "aws:ec2/instance:Instance",
        name,
        ami="ami-0ec0a0000000a0001",
        instanceType=shape,
        primaryNetworkInterface={"networkInterfaceId": eni.id},
        userData="#!/bin/sh\n",
        tags={"ecm:slot": "edge/us-east-1a/0"},
        **more,
    )
