"""How every picture looks, and how it becomes bytes: the same picture, the same versions, the same bytes."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from io import BytesIO
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

BLUE: Final = "#0072B2"
VERMILLION: Final = "#D55E00"
GREY: Final = "#595959"
PALETTE: Final = (
    BLUE,
    VERMILLION,
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#8C6D1F",
    "#7F7F7F",
    "#5B2A86",
)
"""Okabe and Ito, Color Universal Design (2008), without the yellow that white paper swallows; three more."""
MARKERS: Final = "osD^vPXp<>*h"
"""Curves differ in their marks too: colour alone tells nothing to some readers and to no black and white print."""
DPI: Final = 120
_STYLE: Final[dict[Any, Any]] = {
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.labelcolor": "#222222",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "font.size": 9,
    "grid.color": "#E4E4E4",
    "legend.frameon": False,
    "savefig.facecolor": "white",
    "svg.fonttype": "none",
    # A dollar sign in a name is a dollar sign.
    "text.parse_math": False,
    # Not among what matplotlib resets.
    "timezone": "UTC",
    "xtick.color": GREY,
    "ytick.color": GREY,
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNPRINTABLE: Final = re.compile("[^\t\x20-\x7e\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0001fffd]")
"""What XML 1.0 forbids (section 2.2), control characters with it."""


class Form(StrEnum):
    """The form of a picture; the value is its file suffix."""

    PNG = "png"
    SVG = "svg"


def picture(draw: Callable[[Figure], None], size: tuple[float, float], form: Form, name: str) -> bytes:
    """Return what `draw` puts on a figure of `size` inches, as bytes without date, version or random identifiers.

    `name` distinguishes the identifiers of an SVG from those of others on the same page. The reader's own matplotlib
    settings have no effect.
    """
    # ECM's pictures name missing glyphs with a box; a line on the terminal for each would hide the result.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        mpl.rcdefaults()
        mpl.rcParams.update({**_STYLE, "svg.hashsalt": name})
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        out = BytesIO()
        nothing = {"Software": None} if form is Form.PNG else {"Date": None, "Creator": None}
        figure.savefig(out, format=form.value, dpi=DPI, metadata=nothing)
    return out.getvalue()


def inline(svg: bytes, name: str, says: str) -> str:
    """Return an SVG of `picture` for use within a page: no prologue, identifiers of its own, `says` for screen readers.

    `says` must hold no character that needs escaping in an attribute (the caller escapes it).
    """
    text = svg.decode("utf-8")
    body = text[text.index("<svg ") :]
    own = re.sub(r'<g id="', f'<g id="{name}-', body)
    return own.replace("<svg ", f'<svg role="img" aria-label="{says}" ', 1)


def clean(text: str, most: int = 120) -> str:
    """Return `text` in one line of at most `most` characters, without what XML forbids."""
    line = " ".join(_UNPRINTABLE.sub(" ", text).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def number(when: datetime) -> float:
    """Return a time as matplotlib counts it: days since 1970 UTC."""
    return (when - _EPOCH) / timedelta(days=1)


def date_axis(axes: Axes, *, most: int = 10) -> None:
    """Show the x axis as UTC times with at most `most` marks, dates where the day changes."""
    axes.xaxis_date()
    locator = AutoDateLocator(minticks=min(4, most // 2), maxticks=most)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.set_xlabel("times in UTC", loc="left", fontsize=8)


def empty(axes: Axes, why: str) -> None:
    """Say on an axis without data why there is none."""
    axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", va="center", color=GREY)
    axes.set_xticks([])
    axes.set_yticks([])
