"""YAML as people write it: safe, YAML 1.2 scalars, no duplicate keys."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import yaml

from ecm.intent.problems import IntentError, Problem, show

MAX_BYTES: Final = 2_000_000
"""Larger than any file a person writes; stops a wrong path from filling the memory."""


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2's core schema, which editors use.

    YAML 1.1 reads Norway's `NO` as false, `1:30` as 90 and `010` as 8, and turns dates into objects whose original
    text can no longer be shown in an error.
    """


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+0123456789.")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    seen: set[str] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise yaml.constructor.ConstructorError(None, None, f"key {show(key)} is not text", key_node.start_mark)
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"key {show(key)} is written twice", key_node.start_mark
            )
        seen.add(key)
    return {loader.construct_object(k, deep=True): loader.construct_object(v, deep=True) for k, v in node.value}


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int | str:
    text = str(loader.construct_scalar(node))
    return int(text) if len(text) <= 20 else text


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)


def read_mapping(root: Path, name: str) -> dict[str, Any]:
    """Return the mapping in the file `name` below `root`; IntentError when it is missing or no YAML mapping."""
    path = root / name
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise _broken(name, "the file does not exist", f"create it, or name another root or stack ({path})") from None
    except OSError as error:
        raise _broken(name, f"cannot be read: {error.strerror}", "check the path and its permissions") from None
    if len(data) > MAX_BYTES:
        raise _broken(name, f"is larger than {MAX_BYTES} bytes", "check that this is the right file")
    try:
        value = yaml.load(data.decode("utf-8"), Loader=_Loader)  # noqa: S506 - derives from SafeLoader
    except UnicodeDecodeError:
        raise _broken(name, "is not UTF-8 text", "save it as UTF-8") from None
    except yaml.YAMLError as error:
        raise _broken(name, _yaml_message(error), "correct the YAML at that line") from None
    except RecursionError:
        raise _broken(name, "is nested too deeply", "write it flat, as in the examples") from None
    if not isinstance(value, dict):
        raise _broken(name, f"holds {type(value).__name__}, not a mapping", "start from one of the example files")
    return value


def _broken(name: str, what: str, remedy: str) -> IntentError:
    return IntentError((Problem(name, "", "", what, remedy),))


def _yaml_message(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    what = str(getattr(error, "problem", None) or error).splitlines()[0]
    return f"line {mark.line + 1}, column {mark.column + 1}: {what}" if mark else what
