"""What differs in the files that nodes read, the same difference of several nodes told once; nothing secret in it."""

from __future__ import annotations

import difflib
import json
import re
from typing import Final

from ecm.model.rendered import Rendered
from ecm.model.review import ConfigDiff, ConfigDiffs

MOST_LINES: Final = 200
"""Of one diff."""
MOST_DIFFS: Final = 80
_BASE: Final = "base.json"
_SECRET: Final = re.compile(
    r"""((?:private|preshared|pre_shared)[\s_-]?key|secret|password|passphrase|token)(["']?\s*[=:]\s*["']?)"""
    r"""(?!["']?@(?:private|public|preshared):)[^\s"',}]+""",
    re.IGNORECASE,
)
"""Rendered files hold tokens that the node itself fills in. Should a value ever stand there, it is not shown."""


def config_diffs(before: Rendered, after: Rendered) -> ConfigDiffs:
    """Return the differences of every object of `before` and `after`; objects that come or go are only counted."""
    old, new = ({o.key: o.text for o in r.objects} for r in (before, after))
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    changed = 0
    for key in sorted(old.keys() & new.keys()):
        if old[key] == new[key]:
            continue
        changed += 1
        was, now = _files(old[key]), _files(new[key])
        for file in sorted(was.keys() | now.keys()):
            lines = _unified(was.get(file, ""), now.get(file, ""))
            if lines:
                found.setdefault((file, lines), []).append(key.removeprefix("nodes/").removesuffix(f"/{_BASE}"))
    kept = list(found.items())[:MOST_DIFFS]
    left = len(found) - len(kept)
    return ConfigDiffs(
        note=f"{left} more differences are not kept" if left > 0 else "",
        changed=changed,
        added=len(new.keys() - old.keys()),
        removed=len(old.keys() - new.keys()),
        diffs=tuple(
            ConfigDiff(
                file=file, nodes=tuple(nodes), lines=lines[:MOST_LINES], left_out=max(0, len(lines) - MOST_LINES)
            )
            for (file, lines), nodes in kept
        ),
    )


def _files(text: str) -> dict[str, str]:
    """Return an object's files by path, and the rest of it, one value a line, as a file of its own."""
    try:
        document = json.loads(text)
    except ValueError:
        return {"content": text}
    files: dict[str, str] = document.pop("files", {}) if isinstance(document, dict) else {}
    return {_BASE: json.dumps(document, indent=1, sort_keys=True), **files}


def _unified(before: str, after: str) -> tuple[str, ...]:
    made = difflib.unified_diff(before.splitlines(), after.splitlines(), n=1, lineterm="")
    # The first two lines name files, which the diff has already.
    return tuple(masked(line) for line in list(made)[2:])


def masked(text: str) -> str:
    """Return `text` with every value of a secret taken out."""
    return _SECRET.sub(r"\1\2(masked)", text)
