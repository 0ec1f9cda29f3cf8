"""A row of the stand-in's table: one resource type, what it accepts and how boto3 makes, reads, changes and removes it.

Test double, not the AWS provider.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

from tools.standin.schema import TAGS, Inputs, Prop, project, text
from tools.standin.wire import Value

Observed = dict[str, Any]
Client = Any
"""A boto3 client, or what one of its calls answers: boto3 makes both at run time."""

_CLIENT = Config(
    max_pool_connections=64, retries={"mode": "standard", "total_max_attempts": 10}, s3={"addressing_style": "path"}
)


def make_client(service: str, region: str, **options: str) -> Client:
    """Return a new client; `options` as of `boto3.client`, such as `endpoint_url`.

    botocore makes the same clients as boto3, which takes as long again to import.
    """
    make: Callable[..., Client] = botocore.session.Session().create_client
    return make(service, region_name=region, config=_CLIENT, **options)


class Aws:
    """boto3 clients of one region, made once and shared by all requests (boto3 clients are thread-safe)."""

    def __init__(self, region: str, default_tags: Mapping[str, str] | None = None, **options: str) -> None:
        """`options` go to every client, such as `endpoint_url`; what is not given comes from the environment."""
        self.region = region
        self._options = options
        self.default_tags = dict(default_tags or {})
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()
        self._account: str | None = None
        self._devices: dict[str, str] = {}

    def client(self, service: str, region: str | None = None) -> Client:
        """Return the client of `service` in `region`, by default the provider's own."""
        key = (service, region or self.region)
        client = self._clients.get(key)
        if client is None:
            with self._lock:
                client = self._clients.get(key)
                if client is None:
                    client = self._clients[key] = make_client(service, key[1], **self._options)
        return client

    @property
    def ec2(self) -> Client:
        """The EC2 client."""
        return self.client("ec2")

    @property
    def elb(self) -> Client:
        """The Elastic Load Balancing v2 client."""
        return self.client("elbv2")

    @property
    def account(self) -> str:
        """The account's number."""
        if self._account is None:
            self._account = str(self.client("sts").get_caller_identity()["Account"])
        return self._account

    def root_device(self, image: str) -> str:
        """Return the name of an image's root device; asked once, because an image never changes."""
        if image not in self._devices:
            self._devices[image] = str(self.ec2.describe_images(ImageIds=[image])["Images"][0]["RootDeviceName"])
        return self._devices[image]

    def arn(self, service: str, rest: str, *, regional: bool = True) -> str:
        """Return the ARN of `rest` in this account."""
        return f"arn:aws:{service}:{self.region if regional else ''}:{self.account}:{rest}"


@dataclass(frozen=True)
class Made:
    """A resource that exists now: its id and what AWS says of it."""

    id: str
    observed: Observed


@dataclass(frozen=True)
class Change:
    """An update: the state before, the inputs before and after, and the names of the properties that differ."""

    state: Observed
    old: Inputs
    new: Inputs
    names: frozenset[str]

    @classmethod
    def between(cls, kind: Kind, state: Observed, old: Inputs, new: Inputs) -> Change:
        """Return the change from `old` to `new` inputs of a resource of `kind`.

        What the state has otherwise than `new` wants it is part of it too: an earlier update may have failed half-way,
        and then the engine's old inputs say what was wanted, not what is.
        """
        asked = {name for name in kind.accepts if old.get(name) != new.get(name)}
        stands = project(kind.accepts, state, new)
        unmet = {name for name, value in new.items() if name in kind.accepts and stands[name] != value}
        return cls(state, old, new, frozenset(asked | unmet))

    def was(self, name: str) -> Value:
        """Return what a property was: as the state has it, else as the old inputs have it."""
        return self.state.get(name, self.old.get(name))

    def touches(self, *names: str) -> bool:
        """Return whether any of `names` differs."""
        return not self.names.isdisjoint(names)


@dataclass(frozen=True)
class Autoname:
    """How the provider names what the program left unnamed: logical name, dash, seven hexadecimal digits."""

    prop: str = "name"
    longest: int = 255
    lower: bool = False


def _nothing(_aws: Aws, _made: Made, _inputs: Inputs) -> None:
    return None


def _no_more(_old: Inputs, _new: Inputs) -> frozenset[str]:
    return frozenset()


@dataclass(frozen=True)
class Kind:
    """A resource type. `finish` runs once the resource exists: its failure leaves a resource with an id."""

    type_name: str
    inputs: Mapping[str, Prop]
    computed: tuple[str, ...]
    create: Callable[[Aws, Inputs], Made]
    read: Callable[[Aws, str, Observed], Observed | None]
    delete: Callable[[Aws, str, Observed], None]
    update: Callable[[Aws, str, Change], None] | None = None
    finish: Callable[[Aws, Made, Inputs], Observed | None] = _nothing
    retag: Callable[[Aws, str, Observed, Mapping[str, str], list[str]], None] | None = None
    autoname: Autoname | None = None
    rules: tuple[Callable[[Inputs], str | None], ...] = ()
    also_replaces: Callable[[Inputs, Inputs], frozenset[str]] = _no_more
    unknown_on_change: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Computed outputs that a preview cannot know when one of the named inputs changes."""
    delete_first: bool = False
    """Replacement cannot stand beside the old one, as the real provider says by `deleteBeforeReplace`."""
    regional: bool = True

    @property
    def accepts(self) -> Mapping[str, Prop]:
        """Every accepted input, with `region` and `tags` where the type has them."""
        extra: dict[str, Prop] = {}
        if self.regional:
            extra["region"] = text().fixed()
        if self.retag is not None:
            extra["tags"] = TAGS
        return {**self.inputs, **extra}

    @property
    def outputs(self) -> tuple[str, ...]:
        """Every output that is computed when the program does not give it."""
        extra = ("tagsAll",) if self.retag is not None else ()
        return (*self.computed, *extra, *(("region",) if self.regional else ()))


def code(error: ClientError) -> str:
    """Return the AWS error code of `error`."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def absent(*codes: str) -> Iterator[None]:
    """Swallow the error that says that the thing is not there: what is gone is deleted."""
    try:
        yield
    except ClientError as error:
        if code(error) not in codes:
            raise


def found(call: Callable[[], Any], *codes: str) -> Client:
    """Return what `call` returns, or None when AWS answers with one of the not-found `codes`."""
    try:
        return call()
    except ClientError as error:
        if code(error) in codes:
            return None
        raise


def given(inputs: Mapping[str, Any], **names: str) -> dict[str, Any]:
    """Return boto3 parameters for the properties that are set: `given(inputs, CidrBlock="cidrBlock")`."""
    return {parameter: inputs[name] for parameter, name in names.items() if inputs.get(name) is not None}


def tag_list(tags: Mapping[str, str] | None) -> list[dict[str, str]]:
    """Return tags as AWS lists them."""
    return [{"Key": key, "Value": value} for key, value in sorted((tags or {}).items())]


def tag_map(tags: list[dict[str, str]] | None) -> dict[str, str]:
    """Return AWS's list of tags as a map, without those that AWS itself sets."""
    return {tag["Key"]: tag["Value"] for tag in tags or [] if not tag["Key"].startswith("aws:")}


def tag_spec(resource: str, inputs: Inputs) -> dict[str, Any]:
    """Return the parameter that tags an EC2 resource as it is made."""
    tags = tag_list(inputs.get("tags"))
    return {"TagSpecifications": [{"ResourceType": resource, "Tags": tags}]} if tags else {}


def retag_ec2(aws: Aws, id_: str, _state: Observed, put: Mapping[str, str], remove: list[str]) -> None:
    """Change the tags of an EC2 resource."""
    if remove:
        aws.ec2.delete_tags(Resources=[id_], Tags=[{"Key": key} for key in remove])
    if put:
        aws.ec2.create_tags(Resources=[id_], Tags=tag_list(put))


def exactly_one(*names: str) -> Callable[[Inputs], str | None]:
    """Return the rule that exactly one of `names` is set."""

    def rule(inputs: Inputs) -> str | None:
        count = sum(inputs.get(name) is not None for name in names)
        return None if count == 1 else f"exactly one of {', '.join(names)} is needed, {count} are set"

    return rule


def at_most_one(*names: str) -> Callable[[Inputs], str | None]:
    """Return the rule that no two of `names` are set."""

    def rule(inputs: Inputs) -> str | None:
        have = [name for name in names if inputs.get(name) is not None]
        return None if len(have) <= 1 else f"{' and '.join(have)} exclude each other"

    return rule
