"""Quantities with a unit, such as `20ms` or `1.5 Gbit/s`, turned into the number that a field's unit asks for."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_UNITS: Final[dict[str, tuple[str, Decimal]]] = {
    name: (dimension, Decimal(factor))
    for dimension, units in {
        "time": {
            "us": "0.000001", "µs": "0.000001", "ms": "0.001", "s": "1", "sec": "1", "min": "60", "m": "60",
            "h": "3600", "d": "86400", "day": "86400", "days": "86400",
        },
        "rate": {
            "kbps": "0.001", "kbit/s": "0.001", "mbps": "1", "mbit/s": "1", "mbit": "1", "gbps": "1000",
            "gbit/s": "1000", "gbit": "1000",
        },
        "share": {"%": "0.01", "pct": "0.01", "percent": "0.01", "permille": "0.001", "ppm": "0.000001"},
        "money": {"usd": "1", "$": "1"},
    }.items()
    for name, factor in units.items()
}  # fmt: skip
_SUFFIXES: Final[tuple[tuple[str, str], ...]] = (
    ("_us", "us"), ("_ms", "ms"), ("_s", "s"), ("_min", "min"), ("_days", "d"), ("_mbps", "mbps"),
    ("_pct", "pct"), ("_permille", "permille"), ("_ppm", "ppm"), ("_usd", "usd"),
)  # fmt: skip
_QUANTITY = re.compile(r"^\s*(\$?)\s*([-+]?\d+(?:[.,]\d+)?)\s*([A-Za-zµ%$/]*)\s*$")


def unit_of(field: str) -> str | None:
    """Return the unit that the name of `field` ends in, or None."""
    return next((unit for suffix, unit in _SUFFIXES if field.endswith(suffix)), None)


def convert(value: object, field: str) -> str | None:
    """Return the number to write for `value` in `field`, or None when it is no quantity of the field's dimension.

    A number without a unit is taken as it is: `convert("20ms", "latency_ms")` and `convert(20, "latency_ms")` are "20".
    """
    unit = unit_of(field)
    match = (
        _QUANTITY.match(str(value)) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else None
    )
    if unit is None or match is None:
        return None
    written = (match[3] or match[1]).lower()
    number = Decimal(match[2].replace(",", "."))
    if written:
        have, want = _UNITS.get(written), _UNITS[unit]
        if have is None or have[0] != want[0]:
            return None
        number = number * have[1] / want[1]
    return format(number.normalize(), "f")
