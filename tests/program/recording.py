"""A mock engine that records every registration with its options, and answers as AWS would where the program asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import json_format
from pulumi.runtime import mocks, rpc, settings
from pulumi.runtime import stack as stacks
from pulumi.runtime.proto import resource_pb2

from ecm.infra import Signed

PROJECT = "endpoint-chain-manager"
SIGNED = Signed(manifest="{}", signers=("signer",))


@dataclass(frozen=True)
class Registered:
    """One resource as the program registered it."""

    type: str
    name: str
    parent: str
    urn: str
    """As the engine would make it: with the types of all parents."""
    inputs: dict[str, Any]
    ignored: tuple[str, ...]
    depends_on: frozenset[str]
    """Type chain (the last two) and name of each."""
    import_id: str
    kept: bool
    """Protected from deletion, and kept in AWS where it leaves the stack all the same."""


@dataclass
class Recording:
    """Everything that one run of a program registered."""

    resources: list[Registered] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)

    def of(self, token: str) -> list[Registered]:
        """Resources whose type ends with `token`, such as `Instance`."""
        return [r for r in self.resources if r.type.rsplit(":", 1)[-1] == token]

    def one(self, token: str, name: str) -> Registered:
        """The one resource of this type and name."""
        found = [r for r in self.of(token) if r.name == name]
        assert len(found) == 1, f"{token} {name}: {[r.name for r in self.of(token)]}"
        return found[0]

    @property
    def identities(self) -> set[tuple[str, str]]:
        """Type chain and name of everything: what a URN is made of."""
        return {(r.urn.split("::")[-2], r.name) for r in self.resources}


class _Answers(mocks.Mocks):
    """Ids and computed outputs."""

    def __init__(self, invokes: dict[str, Any]) -> None:
        self._invokes = invokes

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        kind = args.typ.rsplit(":", 1)[-1]
        outputs = dict(args.inputs)
        outputs.setdefault("name", f"{args.name}-0000000")
        outputs["arn"] = f"arn:aws:mock:::{kind}/{args.name}"
        outputs["arnSuffix"] = f"{kind}/{args.name}"
        if kind == "Bucket":
            outputs["bucket"] = f"{args.name}-0000000"
        if kind == "Eip":
            outputs |= {"allocationId": f"eipalloc-{args.name}", "publicIp": "192.0.2.1"}
        if kind == "VpcEndpoint":
            outputs["prefixListId"] = "pl-s3"
        if kind == "LoadBalancer":
            outputs |= {"dnsName": f"{args.name}.elb.example.com", "zoneId": "ZELB"}
        if kind == "Zone":
            outputs["zoneId"] = "ZPUBLIC"
        if kind == "BucketObjectv2":
            outputs["versionId"] = "v1"
        return f"{kind}/{args.name}", outputs

    def call(self, args: mocks.MockCallArgs) -> Any:
        return self._invokes[args.token]


class _Monitor(mocks.MockMonitor):
    """Keeps the whole request, which carries what mocks leave out: parent, dependencies, ignored changes."""

    def __init__(self, answers: _Answers, recording: Recording) -> None:
        super().__init__(answers)
        self._recording = recording
        self._types: dict[str, str] = {}

    def RegisterResource(self, request: resource_pb2.RegisterResourceRequest) -> Any:  # noqa: N802 - gRPC's name
        response = super().RegisterResource(request)
        chain = self._types.get(request.parent, "")
        own = f"{chain}${request.type}" if chain else request.type
        if request.type == "pulumi:pulumi:Stack":
            own = ""
        self._types[response.urn] = own
        if request.type != "pulumi:pulumi:Stack":
            self._recording.resources.append(
                Registered(
                    type=request.type,
                    name=request.name,
                    parent=request.parent.split("::")[-1],
                    urn=f"urn:pulumi:dev::{PROJECT}::{own}::{request.name}",
                    inputs=rpc.deserialize_properties(request.object),
                    ignored=tuple(request.ignoreChanges),
                    depends_on=frozenset("::".join(urn.split("::")[-2:]) for urn in request.dependencies),
                    import_id=request.importId,
                    kept=request.protect and request.retainOnDelete,
                )
            )
        return response

    def RegisterResourceOutputs(self, request: resource_pb2.RegisterResourceOutputsRequest) -> Any:  # noqa: N802
        if request.urn.split("::")[-2] == "pulumi:pulumi:Stack":
            self._recording.outputs = json_format.MessageToDict(request.outputs)
        return super().RegisterResourceOutputs(request)


def record(
    program: Callable[[], None], *, stack: str = "dev", invokes: dict[str, Any] | None = None, preview: bool = False
) -> Recording:
    """Run `program` as the engine would and return what it registered; its errors are raised here."""
    recording = Recording()
    answers = _Answers(invokes or {})
    asyncio.set_event_loop(asyncio.new_event_loop())
    mocks.set_mocks(answers, project=PROJECT, stack=stack, preview=preview, monitor=_Monitor(answers, recording))
    settings.set_root_resource(None)  # the program gets a stack of its own, whose outputs are recorded

    asyncio.get_event_loop().run_until_complete(stacks.run_pulumi_func(lambda: stacks.run_in_stack(program)))
    return recording
