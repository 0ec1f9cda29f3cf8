"""Hostile values, where they can stand, and how a rendered file tells that one of them is more than data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

PAYLOADS = (
    "{}\n", "{}\naccept",
    "\n{}", "{}\r\npolicy accept;", '{}"', "{}'", "{};", "{}; flush ruleset", "{} }} accept {{",
    "{{{{ {} }}}}", "{{% include '{}' %}}", "{{# {}", "{}`id`", "$({})", "${{{}}}", "{}#", "{}\\", "{}\x00",
    "{}\x1b[2J",
    "{}\u2028x", "{}\u202e", "{}é", "{}\u0430", "{}\uff0f", "{}\u0661", "../../{}", "/etc/{}", "{}//", "%n{}", "{}%i",
    "@private:{}@", "@preshared:{}@", "{}\nPostUp = sh", "{}\n[Peer]", "include \"{}\"", "{}; protocol static {{",
    "-{}",
    "--{}", "{}|tee", "{}&&id", "<{}>", "{}\t", " {}", "{} ", "{}: [", "!!python/object:{}", "&{} *x", "{},accept",
    "{}=1",
    "{}@", "{}*", "{}/0/0", "{}\u00a0", "{}\ud7ff", "{}\ufeff", "{}" + "w" * 600,
)  # fmt: skip
MARKER = re.compile(r"zq[0-9]{6}z")
_SHOWN = 25
"""Messages show the first part of a value only: the marker must be in it."""
Place = tuple[str | int, ...]
STRUCTURE = "\n\r\t\"'`;{}[]()<>$\\#%@=|&"
"""Characters that open, close or end something in a file that is rendered."""


class Hostile:
    """An endless row of hostile values, each with a marker of its own; the same seed gives the same row."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._made = 0

    @property
    def made(self) -> int:
        """How many values were handed out."""
        return self._made

    def value(self, original: object) -> str:
        """A payload alone, or within what stood there, so that it is refused only for what is hostile about it."""
        payload = PAYLOADS[self._random.integers(len(PAYLOADS))].format(f"zq{self._made:06d}z")
        self._made += 1
        text = str(original)
        place = self._random.integers(4)
        if place == 0 or not 0 < len(text) <= _SHOWN or len(payload) > 100:
            return payload
        at = (0, len(text) // 2, len(text))[place - 1]
        return text[:at] + payload + text[at:]


def leaves(document: Any, at: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every scalar of a document with its path, whatever its type: text may stand where a number belongs."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield from leaves(value, (*at, key))
    elif isinstance(document, list):
        for number, value in enumerate(document):
            yield from leaves(value, (*at, number))
    else:
        yield at, document


def put(document: Any, path: Place, value: Any) -> None:
    """Put `value` at `path` of a document."""
    for key in path[:-1]:
        document = document[key]
    document[path[-1]] = value


def markers(text: str) -> set[str]:
    """The hostile values that `text` names."""
    return set(MARKER.findall(text))


def outline(text: str) -> str:
    """The structure of a file: its punctuation and line ends, and nothing of its words."""
    return "".join(c for c in text if c in STRUCTURE)


def leaks(files: dict[str, str], harmless: dict[str, str]) -> list[str]:
    """Say where a hostile value is in a file as anything but data, against the same files without hostile values.

    Data is a word of letters, digits, `-`, `.`, `:` and `/` that leaves the file's structure as it was. A path that no
    harmless rendering has is a leak, too.
    """
    found = [f"{path}: is a file of its own" for path in sorted(set(files) - set(harmless))]
    for path in sorted(set(files) & set(harmless)):
        words = re.findall(r"[^\s\"';{}]*zq[0-9]{6}z[^\s\"';{}]*", files[path])
        plain = re.compile(r"[A-Za-z0-9./:-]{1,120}")
        found += [f"{path}: {word!a} is not a plain word" for word in words if not plain.fullmatch(word)]
        if markers(files[path]) and outline(files[path]) != outline(harmless[path]):
            found.append(f"{path}: its structure differs: {sorted(markers(files[path]))}")
        if not files[path].isascii():
            found.append(f"{path}: is not ASCII")
    return found
