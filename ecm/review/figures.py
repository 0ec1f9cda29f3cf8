"""Figures as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ecm.model.base import MICRO

_NO_WIDTH: Final = "\u200b"
HOURS_PER_MONTH: Final = 730
"""AWS's own convention for monthly prices: 365 x 24 / 12."""


def usd(micro: int) -> str:
    """Return micro-USD as USD with four decimals below one dollar, two above."""
    value = micro / MICRO
    return f"{value:,.4f}" if abs(value) < 1 else f"{value:,.2f}"


def change_usd(before: int, after: int) -> str:
    """Return the difference in USD with its sign."""
    return "0" if before == after else f"{'+' if after > before else '-'}{usd(abs(after - before))}"


def share(before: int, after: int) -> str:
    """Return the difference in per cent of what was before."""
    return "new" if before == 0 else f"{100 * (after - before) / before:+.1f} %"


def counted_of(count: int, what: str) -> str:
    """Return a count with its noun, such as `1 node` or `3 nodes`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def headroom(have: int, need: int) -> str:
    """Return how much more than `need` there is, in per cent of `need`."""
    return "no load" if need == 0 else f"{100 * (have - need) / need:+.0f} %"


def minutes(seconds: int | None) -> str:
    """Return expected seconds as minutes with one decimal."""
    return "not known" if seconds is None else f"{seconds / 60:.1f} min"


def age(whole: int | None) -> str:
    """Return an age in minutes in the unit that suits it."""
    if whole is None:
        return "no date"
    return f"{whole} min" if whole < 120 else f"{whole // 60} h" if whole < 2880 else f"{whole // 1440} days"


def percent(value: int | None) -> str:
    """Return whole per cent with their sign."""
    return "no load" if value is None else f"{value:+d} %"


def quantile(permille: int) -> str:
    """Return a quantile as P90 or P99.5."""
    return f"P{permille / 10:g}"


def table(header: Sequence[str], rows: Sequence[Sequence[object]], most: int) -> list[str]:
    """Return the lines of a Markdown table of at most `most` rows, and how many were left out; escape cells before."""
    lines = [_row(header), "|" + "---|" * len(header), *(_row(row) for row in rows[:most])]
    left = len(rows) - most
    return lines + (["", f"{left} more rows are in report.json."] if left > 0 else [])


def clean(text: object, most: int = 500) -> str:
    """Return `text` in one line of at most `most` characters, without control and direction characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def plain(text: object, most: int = 500) -> str:
    """Return `text` with what Markdown, HTML or GitHub would act on made harmless: no markup, link or mention."""
    escaped = clean(text, most).replace("\\", "\\\\")
    escaped = escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    escaped = "".join(f"\\{c}" if c in "|`*_[]~$" else c for c in escaped)
    # A character of no width breaks what is found in the text only after it was rendered.
    for found in ("@", "#", "://", "www."):
        escaped = escaped.replace(found, f"{found[:1]}{_NO_WIDTH}{found[1:]}")
    return escaped


def _row(cells: Sequence[object]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"
