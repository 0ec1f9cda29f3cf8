"""The gRPC servicer behind `pulumi-resource-aws`: Pulumi's resource provider protocol over the table of kinds.

Test double, not the AWS provider. It answers the protocol as `proto/pulumi/provider.proto` says, with a full Diff
against the old inputs, which the SDK's experimental server drops.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

import grpc
from google.protobuf import any_pb2, empty_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, status_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc
from typing_extensions import override

from tools.standin import functions
from tools.standin.check import diff
from tools.standin.config import config_failures, parsed, pulumi_aws_version
from tools.standin.core import Partial, Refused, Standin
from tools.standin.kind import Change
from tools.standin.wire import decode, encode


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


_Request = TypeVar("_Request", bound=Message)
_Reply = TypeVar("_Reply", bound=Message)
_Method = Callable[["Servicer", _Request], _Reply]
_Served = Callable[["Servicer", _Request, grpc.ServicerContext], _Reply]


def _answer(method: _Method[_Request, _Reply]) -> _Served[_Request, _Reply]:
    """Turn errors into what the engine shows; a traceback only for faults of the stand-in itself."""

    @functools.wraps(method)
    def wrapped(self: Servicer, request: _Request, context: grpc.ServicerContext) -> _Reply:
        try:
            return method(self, request)
        except Partial as error:
            _status(context, error)
            raise
        except Refused as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise
        except functions.AWS_ERRORS as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
            raise

    return wrapped


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """The protocol's methods; `stop` is called on Cancel."""

    def __init__(self, stop: Callable[[], None], standin: Standin | None = None) -> None:
        self._stop = stop
        self._standin = standin or Standin()

    @override
    @_answer
    def GetPluginInfo(self, _request: empty_pb2.Empty) -> plugin_pb2.PluginInfo:
        """Tell the version: the one that the installed SDK asks for."""
        return plugin_pb2.PluginInfo(version=pulumi_aws_version())

    @override
    @_answer
    def GetSchema(self, _request: provider_pb2.GetSchemaRequest) -> provider_pb2.GetSchemaResponse:
        """Refuse: programs in Python bring their own schema."""
        raise Refused("the stand-in has no schema: it serves programs that use the pulumi_aws SDK")

    @override
    @_answer
    def CheckConfig(self, request: provider_pb2.CheckRequest) -> provider_pb2.CheckResponse:
        """Check the provider's configuration."""
        failed = config_failures(parsed(decode(request.news)))
        return provider_pb2.CheckResponse(inputs=request.news, failures=_failures(failed))

    @override
    @_answer
    def DiffConfig(self, request: provider_pb2.DiffRequest) -> provider_pb2.DiffResponse:
        """Another region is another provider; everything else is no change to resources."""
        old, new = decode(request.old_inputs), decode(request.news)
        moved = old.get("region") != new.get("region")
        changes = provider_pb2.DiffResponse.DIFF_SOME if moved else provider_pb2.DiffResponse.DIFF_NONE
        names = ["region"] if moved else []
        return provider_pb2.DiffResponse(changes=changes, diffs=names, replaces=names)

    @override
    @_answer
    def Configure(self, request: provider_pb2.ConfigureRequest) -> provider_pb2.ConfigureResponse:
        """Take the configuration."""
        self._standin.configure(decode(request.args))
        return provider_pb2.ConfigureResponse(supportsPreview=True, supports_autonaming_configuration=True)

    @override
    @_answer
    def Check(self, request: provider_pb2.CheckRequest) -> provider_pb2.CheckResponse:
        """Check a resource's inputs and fill in names."""
        inputs, failed = self._standin.check(request)
        return provider_pb2.CheckResponse(inputs=encode(inputs), failures=_failures(failed))

    @override
    @_answer
    def Diff(self, request: provider_pb2.DiffRequest) -> provider_pb2.DiffResponse:
        """Compare the new inputs with the old inputs."""
        kind = self._standin.kind(request.urn)
        return diff(kind, decode(request.old_inputs), decode(request.news))

    @override
    @_answer
    def Create(self, request: provider_pb2.CreateRequest) -> provider_pb2.CreateResponse:
        """Make a resource, or say what it will be."""
        kind, inputs = self._standin.kind(request.urn), decode(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(id="", properties=encode(self._standin.preview(kind, inputs)))
        id_, state = self._standin.create(kind, inputs)
        return provider_pb2.CreateResponse(id=id_, properties=encode(state))

    @override
    @_answer
    def Read(self, request: provider_pb2.ReadRequest) -> provider_pb2.ReadResponse:
        """Say what a resource is now; an empty id when it is gone."""
        kind = self._standin.kind(request.urn)
        found = self._standin.read(kind, request.id, decode(request.properties), decode(request.inputs))
        if found is None:
            return provider_pb2.ReadResponse()
        state, inputs = found
        return provider_pb2.ReadResponse(id=request.id, properties=encode(state), inputs=encode(inputs))

    @override
    @_answer
    def Update(self, request: provider_pb2.UpdateRequest) -> provider_pb2.UpdateResponse:
        """Change a resource in place, or say what it will be."""
        kind = self._standin.kind(request.urn)
        change = Change.between(kind, decode(request.olds), decode(request.old_inputs), decode(request.news))
        if request.preview:
            return provider_pb2.UpdateResponse(properties=encode(self._standin.preview_update(kind, change)))
        return provider_pb2.UpdateResponse(properties=encode(self._standin.update(kind, request.id, change)))

    @override
    @_answer
    def Delete(self, request: provider_pb2.DeleteRequest) -> empty_pb2.Empty:
        """Remove a resource; one that is gone already is no error."""
        kind = self._standin.kind(request.urn)
        self._standin.delete(kind, request.id, {**decode(request.old_inputs), **decode(request.properties)})
        return empty_pb2.Empty()

    @override
    @_answer
    def Invoke(self, request: provider_pb2.InvokeRequest) -> provider_pb2.InvokeResponse:
        """Answer a function."""
        answer = functions.call(self._standin.aws, request.tok, decode(request.args))
        if answer is None:
            known = ", ".join(sorted(functions.FUNCTIONS))
            raise Refused(f"the stand-in does not serve {request.tok} with these arguments; it serves {known}")
        return provider_pb2.InvokeResponse(**{"return": encode(answer)})

    @override
    @_answer
    def Attach(self, _request: plugin_pb2.PluginAttach) -> empty_pb2.Empty:
        """Accept an engine that attaches to a running plugin."""
        return empty_pb2.Empty()

    @override
    @_answer
    def Cancel(self, _request: empty_pb2.Empty) -> empty_pb2.Empty:
        """End: the engine is done or was interrupted."""
        self._stop()
        return empty_pb2.Empty()


def _failures(failed: list[tuple[str, str]]) -> list[provider_pb2.CheckFailure]:
    return [provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in failed]
