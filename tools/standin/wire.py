"""Pulumi property values between protobuf structs and Python: unknowns, assets and numbers.

Sentinels as in the SDK's `pulumi/runtime/rpc.py`. Test double, not the AWS provider.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import struct_pb2

Value = Any
"""A property value: JSON, with `UNKNOWN` where only an update will know."""

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
ASSET_SIGNATURE: Final = "c44067f5952c0a294b673a41bacd8c17"
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a protocol constant
UNKNOWN_TEXT: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


class Unknown:
    """A value that only an update will know."""

    def __repr__(self) -> str:
        return "<unknown>"


UNKNOWN: Final = Unknown()


def is_asset(value: Value) -> bool:
    """Return whether `value` is an asset on the wire."""
    return isinstance(value, dict) and value.get(SIGNATURE) == ASSET_SIGNATURE


def has_unknown(value: Value) -> bool:
    """Return whether an unknown is anywhere within `value`."""
    if isinstance(value, dict):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return value is UNKNOWN


def _value(value: struct_pb2.Value) -> Value:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if value.string_value == UNKNOWN_TEXT else value.string_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "bool_value":
        return value.bool_value
    if kind == "struct_value":
        inner = decode(value.struct_value)
        return inner["value"] if inner.get(SIGNATURE) == SECRET_SIGNATURE else inner
    if kind == "list_value":
        return [_value(item) for item in value.list_value.values]
    return None


def decode(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Return a struct as a dictionary; whole numbers as int, secrets unwrapped, nulls left out."""
    decoded = {name: _value(value) for name, value in struct.fields.items()}
    return {name: value for name, value in decoded.items() if value is not None}


def _plain(value: Value) -> Value:
    if value is UNKNOWN:
        return UNKNOWN_TEXT
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def encode(values: dict[str, Any]) -> struct_pb2.Struct:
    """Return a dictionary as a struct; entries that are None are left out."""
    struct = struct_pb2.Struct()
    struct.update(_plain(values))
    return struct
