"""The gRPC servicer behind `pulumi-resource-aws`: Pulumi's resource provider protocol over the table of kinds.

Test double, not the AWS provider. It answers the protocol as `proto/pulumi/provider.proto` says, with a full Diff
against the old inputs (the SDK's experimental server drops them), and refuses to talk to anything but a loopback AWS.
"""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
from google.protobuf import any_pb2, empty_pb2
from google.rpc import code_pb2, status_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from tools.standin import functions
from tools.standin.check import checked, diff
from tools.standin.kind import Aws, Change, Kind, Observed
from tools.standin.kinds import KINDS
from tools.standin.schema import Inputs, project
from tools.standin.wire import UNKNOWN, decode, encode

# Provider configuration that the real plugin has and that means something to an AWS on loopback.
CONFIG = frozenset(
    {
        "region",
        "accessKey",
        "secretKey",
        "token",
        "defaultTags",
        "endpoints",
        "maxRetries",
        "s3UsePathStyle",
        "skipCredentialsValidation",
        "skipMetadataApiCheck",
        "skipRegionValidation",
        "skipRequestingAccountId",
        "allowedAccountIds",
        "version",
    }
)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def pulumi_aws_version() -> str:
    """Return the version that the installed `pulumi_aws` asks its plugin to have."""
    spec = find_spec("pulumi_aws")
    if spec is None or spec.origin is None:
        raise RuntimeError("pulumi_aws is not installed; install the package's dependencies")
    plugin = json.loads((Path(spec.origin).parent / "pulumi-plugin.json").read_text())
    return str(plugin["version"])


class Refused(Exception):  # noqa: N818 - an answer to the engine, not a fault of the stand-in
    """What the stand-in does not accept, for the engine to show."""


class Partial(Exception):  # noqa: N818 - the resource exists, which the engine must learn
    """A resource was made but not finished."""

    def __init__(self, id_: str, state: Observed, inputs: Inputs, reason: str) -> None:
        super().__init__(reason)
        self.id, self.state, self.inputs, self.reason = id_, state, inputs, reason


def _endpoint(config: Inputs) -> str:
    endpoints = config.get("endpoints") or []
    urls = {str(url) for entry in endpoints if isinstance(entry, dict) for url in entry.values()}
    return urls.pop() if len(urls) == 1 else os.environ.get("AWS_ENDPOINT_URL", "")


def config_failures(config: Inputs) -> list[tuple[str, str]]:
    """Return (property, reason) for what is wrong with the provider's configuration."""
    failed = [(n, f"unknown provider property {n!r}") for n in config if n not in CONFIG and not n.startswith("__")]
    if not (config.get("region") or os.environ.get("AWS_REGION")):
        failed.append(("region", "region is not set: set aws:region or AWS_REGION"))
    url = _endpoint(config)
    if urlsplit(url).hostname not in _LOOPBACK:
        failed.append(("endpoints", f"the stand-in serves an AWS on loopback only; AWS_ENDPOINT_URL is {url!r}"))
    return failed


def _parsed(args: Inputs) -> Inputs:
    """Configuration arrives with nested values as JSON text."""

    def value(item: Any) -> Any:
        try:
            return json.loads(item) if isinstance(item, str) and item[:1] in "[{" and item else item
        except ValueError:
            return item

    return {name: value(item) for name, item in args.items()}


class Standin:
    """What the servicer does, on plain dictionaries: testable without gRPC."""

    def __init__(self, aws: Aws | None = None) -> None:
        self._aws = aws

    @property
    def aws(self) -> Aws:
        """The AWS that was configured; `Refused` before that."""
        if self._aws is None:
            raise Refused("the provider is not configured")
        return self._aws

    def configure(self, args: Inputs) -> None:
        """Take the provider's configuration; `Refused` when something in it is wrong."""
        config = _parsed(args)
        failed = config_failures(config)
        if failed:
            raise Refused("; ".join(reason for _, reason in failed))
        for variable, name in (("AWS_ACCESS_KEY_ID", "accessKey"), ("AWS_SECRET_ACCESS_KEY", "secretKey")):
            if config.get(name):
                os.environ[variable] = str(config[name])
        os.environ["AWS_ENDPOINT_URL"] = _endpoint(config)
        tags = (config.get("defaultTags") or {}).get("tags") or {}
        self._aws = Aws(str(config.get("region") or os.environ["AWS_REGION"]), tags)

    @staticmethod
    def kind(urn: str) -> Kind:
        """Return the row of the table for a resource; `Refused` when the stand-in does not serve its type."""
        token = urn.split("::")[2].split("$")[-1]
        if token not in KINDS:
            raise Refused(f"the stand-in does not serve {token}; it serves {', '.join(sorted(KINDS))}")
        return KINDS[token]

    def check(self, request: Any) -> tuple[Inputs, list[tuple[str, str]]]:
        """Return the inputs with names and tags filled in, and what is wrong with them."""
        default_tags = self._aws.default_tags if self._aws else {}
        return checked(self.kind(request.urn), request, default_tags)

    def _for(self, inputs: Inputs) -> Aws:
        """The AWS of the resource's own region."""
        region = inputs.get("region")
        if not isinstance(region, str) or region == self.aws.region:
            return self.aws
        raise Refused(f"region {region!r}: the stand-in serves the provider's region {self.aws.region!r} only")

    def state(self, kind: Kind, inputs: Inputs, observed: Observed) -> Observed:
        """Return the outputs: what was given, what AWS says, and what Pulumi derives."""
        named = {name: value for name, value in inputs.items() if not name.startswith("__")}
        state = {**named, **{name: value for name, value in observed.items() if value is not None}}
        if kind.retag is not None:
            state["tagsAll"] = state.get("tags") or {}
        if kind.regional:
            state["region"] = named.get("region", self.aws.region)
        return state

    def preview(self, kind: Kind, inputs: Inputs) -> Observed:
        """Return the outputs of a resource that does not exist yet."""
        unknown = {name: UNKNOWN for name in kind.outputs if inputs.get(name) is None}
        return {**unknown, **self.state(kind, inputs, {})}

    def create(self, kind: Kind, inputs: Inputs) -> tuple[str, Observed]:
        """Make the resource; `Partial` when it exists but could not be finished."""
        aws = self._for(inputs)
        made = kind.create(aws, inputs)
        try:
            more = kind.finish(aws, made, inputs)
        except Exception as error:
            raise Partial(made.id, self.state(kind, inputs, made.observed), inputs, str(error)) from error
        observed = {**made.observed, **(more or {})}
        return made.id, self.state(kind, inputs, self._kept(kind, inputs, observed))

    @staticmethod
    def _kept(kind: Kind, inputs: Inputs, observed: Observed) -> Observed:
        """What AWS says, in the order and form that the program gave where both mean the same."""
        return {**observed, **{n: v for n, v in project(kind.accepts, observed, inputs).items() if n in observed}}

    def read(self, kind: Kind, id_: str, state: Observed, inputs: Inputs) -> tuple[Observed, Inputs] | None:
        """Return outputs and inputs as AWS has them now, or None when the resource is gone."""
        known = {**inputs, **state}
        observed = kind.read(self._for(known), id_, known)
        if observed is None:
            return None
        if not inputs:
            return self.state(kind, {}, observed), {n: v for n, v in observed.items() if n in kind.accepts and v not in (None, "", [], {})}
        now = project(kind.accepts, observed, inputs)
        if kind.retag is not None and observed.get("tags") and "tags" not in inputs:
            now["tags"] = observed["tags"]  # tags that somebody added are drift, although none were given
        kept = {**{n: v for n, v in state.items() if n not in observed}, **now}
        return self.state(kind, kept, self._kept(kind, now, observed)), now

    def update(self, kind: Kind, id_: str, change: Change) -> Observed:
        """Change the resource in place and return its outputs."""
        aws = self._for(change.new)
        try:
            if change.touches("tags") and kind.retag is not None:
                before, after = change.old.get("tags") or {}, change.new.get("tags") or {}
                put = {key: value for key, value in after.items() if before.get(key) != value}
                kind.retag(aws, id_, change.state, put, sorted(before.keys() - after.keys()))
            if change.names - {"tags"} and kind.update is not None:
                kind.update(aws, id_, change)
        except Exception as error:
            now = self.read(kind, id_, change.state, change.old)
            state, inputs = now or (change.state, change.old)
            raise Partial(id_, state, inputs, str(error)) from error
        now = self.read(kind, id_, {**change.state, **change.new}, change.new)
        if now is None:
            raise Refused(f"{id_} is gone since it was updated")
        dropped = {name for name in change.old if name not in change.new and name in kind.accepts}
        return {name: value for name, value in now[0].items() if name not in dropped or name in kind.outputs}


def _status(context: grpc.ServicerContext, error: Partial) -> None:
    """Tell the engine of a resource that exists but failed, as an `ErrorResourceInitFailed` detail."""
    failed = provider_pb2.ErrorResourceInitFailed(
        id=error.id, properties=encode(error.state), inputs=encode(error.inputs), reasons=[error.reason]
    )
    detail = any_pb2.Any()
    detail.Pack(failed)
    status = status_pb2.Status(code=code_pb2.UNKNOWN, message=error.reason, details=[detail])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, error.reason)


def _answer(method: Any) -> Any:
    """Turn errors into what the engine shows; a traceback only for faults of the stand-in itself."""

    def wrapped(self: Servicer, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(self, request)
        except Partial as error:
            _status(context, error)
        except Refused as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except functions.AWS_ERRORS as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))

    return wrapped


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """The protocol's methods; `stop` is called on Cancel."""

    def __init__(self, stop: Any, standin: Standin | None = None) -> None:
        self._stop = stop
        self._standin = standin or Standin()

    @_answer
    def GetPluginInfo(self, _request: Any) -> Any:  # noqa: N802 - the protocol's names
        """Tell the version: the one that the installed SDK asks for."""
        return plugin_pb2.PluginInfo(version=pulumi_aws_version())

    @_answer
    def GetSchema(self, _request: Any) -> Any:  # noqa: N802
        """Refuse: programs in Python bring their own schema."""
        raise Refused("the stand-in has no schema: it serves programs that use the pulumi_aws SDK")

    @_answer
    def CheckConfig(self, request: Any) -> Any:  # noqa: N802
        """Check the provider's configuration."""
        failed = config_failures(_parsed(decode(request.news)))
        failures = [provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in failed]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    @_answer
    def DiffConfig(self, request: Any) -> Any:  # noqa: N802
        """Another region is another provider; everything else is no change to resources."""
        old, new = decode(request.old_inputs or request.olds), decode(request.news)
        moved = old.get("region") != new.get("region")
        changes = provider_pb2.DiffResponse.DIFF_SOME if moved else provider_pb2.DiffResponse.DIFF_NONE
        names = ["region"] if moved else []
        return provider_pb2.DiffResponse(changes=changes, diffs=names, replaces=names)

    @_answer
    def Configure(self, request: Any) -> Any:  # noqa: N802
        """Take the configuration."""
        self._standin.configure(decode(request.args))
        return provider_pb2.ConfigureResponse(supportsPreview=True, supports_autonaming_configuration=True)

    @_answer
    def Check(self, request: Any) -> Any:  # noqa: N802
        """Check a resource's inputs and fill in names."""
        inputs, failed = self._standin.check(request)
        failures = [provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in failed]
        return provider_pb2.CheckResponse(inputs=encode(inputs), failures=failures)

    @_answer
    def Diff(self, request: Any) -> Any:  # noqa: N802
        """Compare the new inputs with the old inputs."""
        kind = self._standin.kind(request.urn)
        return diff(kind, decode(request.old_inputs), decode(request.news))

    @_answer
    def Create(self, request: Any) -> Any:  # noqa: N802
        """Make a resource, or say what it will be."""
        kind, inputs = self._standin.kind(request.urn), decode(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(id="", properties=encode(self._standin.preview(kind, inputs)))
        id_, state = self._standin.create(kind, inputs)
        return provider_pb2.CreateResponse(id=id_, properties=encode(state))

    @_answer
    def Read(self, request: Any) -> Any:  # noqa: N802
        """Say what a resource is now; an empty id when it is gone."""
        kind = self._standin.kind(request.urn)
        found = self._standin.read(kind, request.id, decode(request.properties), decode(request.inputs))
        if found is None:
            return provider_pb2.ReadResponse()
        state, inputs = found
        return provider_pb2.ReadResponse(id=request.id, properties=encode(state), inputs=encode(inputs))

    @_answer
    def Update(self, request: Any) -> Any:  # noqa: N802
        """Change a resource in place, or say what it will be."""
        kind = self._standin.kind(request.urn)
        state, old, new = decode(request.olds), decode(request.old_inputs), decode(request.news)
        names = frozenset(name for name in kind.accepts if old.get(name) != new.get(name))
        change = Change(state, old, new, names)
        if not request.preview:
            return provider_pb2.UpdateResponse(properties=encode(self._standin.update(kind, request.id, change)))
        kept = {name: value for name, value in state.items() if name not in old or name in new}
        unknown = {n: UNKNOWN for n, causes in kind.unknown_on_change.items() if change.touches(*causes)}
        return provider_pb2.UpdateResponse(properties=encode({**self._standin.state(kind, new, {}), **{k: v for k, v in kept.items() if k not in new and k != "tagsAll"}, **unknown}))

    @_answer
    def Delete(self, request: Any) -> Any:  # noqa: N802
        """Remove a resource; one that is gone already is no error."""
        kind, state = self._standin.kind(request.urn), decode(request.properties)
        kind.delete(self._standin.aws, request.id, {**decode(request.old_inputs), **state})
        return empty_pb2.Empty()

    @_answer
    def Invoke(self, request: Any) -> Any:  # noqa: N802
        """Answer a function."""
        answer = functions.call(self._standin.aws, request.tok, decode(request.args))
        if answer is None:
            raise Refused(f"the stand-in does not serve {request.tok}; it serves {', '.join(sorted(functions.FUNCTIONS))}")
        return provider_pb2.InvokeResponse(**{"return": encode(answer)})

    @_answer
    def Attach(self, _request: Any) -> Any:  # noqa: N802
        """Accept an engine that attaches to a running plugin."""
        return empty_pb2.Empty()

    @_answer
    def Cancel(self, _request: Any) -> Any:  # noqa: N802
        """End: the engine is done or was interrupted."""
        self._stop()
        return empty_pb2.Empty()
