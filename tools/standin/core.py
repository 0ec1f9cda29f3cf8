"""What the servicer does, on plain dictionaries: testable without gRPC.

Test double, not the AWS provider.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pulumi.runtime.proto import provider_pb2

from tools.standin.check import checked
from tools.standin.config import config_failures, endpoint, parsed
from tools.standin.functions import AWS_ERRORS
from tools.standin.kind import Aws, Change, Kind, Observed
from tools.standin.kinds import KINDS
from tools.standin.schema import Inputs, project
from tools.standin.wire import UNKNOWN


class Refused(Exception):  # noqa: N818 - an answer to the engine, not a fault of the stand-in
    """What the stand-in does not accept, for the engine to show."""


class Partial(Exception):  # noqa: N818 - the resource exists, which the engine must learn
    """A resource was made but not finished."""

    def __init__(self, id_: str, state: Observed, inputs: Inputs, reason: str) -> None:
        super().__init__(reason)
        self.id, self.state, self.inputs, self.reason = id_, state, inputs, reason


class Standin:
    """The provider behind the protocol."""

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
        config = parsed(args)
        failed = config_failures(config)
        if failed:
            raise Refused("; ".join(reason for _, reason in failed))
        names = {"aws_access_key_id": "accessKey", "aws_secret_access_key": "secretKey"}
        options = {option: str(config[name]) for option, name in names.items() if config.get(name)}
        tags = (config.get("defaultTags") or {}).get("tags") or {}
        region = str(config.get("region") or os.environ["AWS_REGION"])
        self._aws = Aws(region, tags, endpoint_url=endpoint(config), **options)

    @staticmethod
    def kind(urn: str) -> Kind:
        """Return the row of the table for a resource; `Refused` when the stand-in does not serve its type."""
        token = urn.split("::")[2].rsplit("$", maxsplit=1)[-1]
        if token not in KINDS:
            raise Refused(f"the stand-in does not serve {token}; it serves {', '.join(sorted(KINDS))}")
        return KINDS[token]

    def check(self, request: provider_pb2.CheckRequest) -> tuple[Inputs, list[tuple[str, str]]]:
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
            state = self.state(kind, inputs, made.observed)
            raise self._partial(kind, made.id, state, inputs, error) from error
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
            imported = {n: v for n, v in observed.items() if n in kind.accepts and v not in (None, "", [], {})}
            return self.state(kind, {}, observed), imported
        now = project(kind.accepts, observed, inputs)
        if kind.retag is not None and observed.get("tags") and "tags" not in inputs:
            now["tags"] = observed["tags"]  # tags that somebody added are drift, although none were given
        kept = {**{n: v for n, v in state.items() if n not in observed}, **now}
        return self.state(kind, kept, self._kept(kind, now, observed)), now

    def preview_update(self, kind: Kind, change: Change) -> Observed:
        """Return what the outputs will be, as far as a preview can know."""
        kept = {
            name: value for name, value in change.state.items() if name not in change.old and name not in change.new
        }
        unknown = {n: UNKNOWN for n, causes in kind.unknown_on_change.items() if change.touches(*causes)}
        return {**kept, **self.state(kind, change.new, {}), **unknown}

    def update(self, kind: Kind, id_: str, change: Change) -> Observed:
        """Change the resource in place and return its outputs; `Partial` when only some of it could be changed."""
        with self._partly(kind, id_, change):
            if change.touches("tags") and kind.retag is not None:
                before, after = change.was("tags") or {}, change.new.get("tags") or {}
                put = {key: value for key, value in after.items() if before.get(key) != value}
                kind.retag(self.aws, id_, change.state, put, sorted(before.keys() - after.keys()))
            if change.names - {"tags"} and kind.update is not None:
                kind.update(self.aws, id_, change)
        now = self.read(kind, id_, {**change.state, **change.new}, change.new)
        if now is None:
            raise Refused(f"{id_} is gone since it was updated")
        dropped = {name for name in change.old if name not in change.new and name in kind.accepts}
        return {name: value for name, value in now[0].items() if name not in dropped or name in kind.outputs}

    @contextmanager
    def _partly(self, kind: Kind, id_: str, change: Change) -> Iterator[None]:
        """Turn a failure half-way into a `Partial` with what the resource is by then."""
        try:
            yield
        except Exception as error:
            raise self._partial(kind, id_, change.state, change.old, error) from error

    def _partial(self, kind: Kind, id_: str, state: Observed, inputs: Inputs, error: Exception) -> Partial:
        """Say what a resource is by now, so that the next update sees what is left to do."""
        now = None
        with suppress(*AWS_ERRORS):
            now = self.read(kind, id_, state, inputs)
        return Partial(id_, *(now or (state, inputs)), str(error))

    def delete(self, kind: Kind, id_: str, state: Observed) -> None:
        """Remove the resource; one that is gone already is no error."""
        kind.delete(self.aws, id_, state)
