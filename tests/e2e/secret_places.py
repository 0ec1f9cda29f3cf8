"""Marked secrets, every form in which one could show, and every place that is looked at."""

from __future__ import annotations

import base64
import gzip
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any


def forms(secret: str) -> tuple[bytes, ...]:
    """`secret` as it is, in base64 at each of the three offsets, in hexadecimal and as part of an address."""
    raw = secret.encode()
    found = {raw, raw.hex().encode(), urllib.parse.quote(secret, safe="").encode()}
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + raw)
        found.add(text[4 if offset else 0 : -4])
    return tuple(sorted(found))


def shown(secrets: Mapping[str, str], places: Iterable[tuple[str, bytes]]) -> list[str]:
    """Say which secret (by name) shows in which place, in any of its forms."""
    wanted = [(name, form) for name, secret in secrets.items() for form in forms(secret)]
    return [
        f"{name} in {place}"
        for place, data in places
        for text in (data, _unpacked(data))
        for name, form in wanted
        if form in text
    ]


def _unpacked(data: bytes) -> bytes:
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else b""


def files(folder: Path, but: Iterable[Path] = ()) -> Iterator[tuple[str, bytes]]:
    """Every file below `folder`, but for those in `but`; links are not followed."""
    left_out = [p.resolve() for p in but]
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()):
        if not any(path.resolve().is_relative_to(p) for p in left_out):
            yield str(path.relative_to(folder)), path.read_bytes()


def account(client: Any) -> Iterator[tuple[str, bytes]]:
    """What an account shows to whoever may read its objects, instances and tags; `client` makes a service's client."""
    s3 = client("s3")
    for bucket in s3.list_buckets()["Buckets"]:
        for item in s3.list_objects_v2(Bucket=bucket["Name"]).get("Contents", ()):
            yield (
                f"s3://{bucket['Name']}/{item['Key']}",
                s3.get_object(Bucket=bucket["Name"], Key=item["Key"])["Body"].read(),
            )
    ec2 = client("ec2")
    for reservation in ec2.describe_instances()["Reservations"]:
        for instance in reservation["Instances"]:
            name = instance["InstanceId"]
            data = ec2.describe_instance_attribute(InstanceId=name, Attribute="userData").get("UserData", {})
            yield f"user data of {name}", base64.b64decode(data.get("Value", ""))
            yield f"instance {name}", repr(instance).encode()
    yield "tags", repr(ec2.describe_tags()["Tags"]).encode()
