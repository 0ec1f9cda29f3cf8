"""Figures as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from ecm.model.base import MICRO

HOURS_PER_MONTH: Final = 730
"""AWS's own convention for monthly prices: 365 x 24 / 12."""


def usd(micro: int) -> str:
    """Return micro-USD as USD with four decimals below one dollar, two above."""
    value = micro / MICRO
    return f"{value:,.4f}" if abs(value) < 1 else f"{value:,.2f}"


def change_usd(before: int, after: int) -> str:
    """Return the difference in USD with its sign."""
    return "0" if before == after else f"{'+' if after > before else '-'}{usd(abs(after - before))}"


def headroom(have: int, need: int) -> str:
    """Return how much more than `need` there is, in per cent of `need`."""
    return "no load" if need == 0 else f"{100 * (have - need) / need:+.0f} %"


def quantile(permille: int) -> str:
    """Return a quantile as P90 or P99.5."""
    return f"P{permille / 10:g}"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return a Markdown table's lines; cells cannot break out of it."""
    lines = [_row(header), "|" + "---|" * len(header)]
    return lines + [_row(row) for row in rows]


def plain(text: object) -> str:
    """Return `text` with what Markdown or HTML would act on made harmless."""
    escaped = str(text).replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{c}" if c in "|`*_[]" else c for c in escaped)


def _row(cells: Sequence[object]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"
