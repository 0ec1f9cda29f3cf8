"""Shows how far a long step is: a bar on a terminal, now and then a plain line elsewhere."""

import sys
import time
from typing import TextIO

_BAR_WIDTH = 30
_PLAIN_EVERY_S = 20.0
_REDRAW_EVERY_S = 0.1


class Progress:
    """One step called `label` with `total` parts. Use as a context manager; call `advance` for each part."""

    def __init__(self, label: str, total: int, unit: str, *, out: TextIO | None = None) -> None:
        self._label = label
        self._total = max(total, 1)
        self._unit = unit
        self._out = out or sys.stderr
        self._bar = self._out.isatty()
        self._done = 0
        self._began = time.monotonic()
        self._shown = self._began

    def __enter__(self) -> "Progress":
        self._show()
        return self

    def __exit__(self, *exc: object) -> None:
        self._show()
        if self._bar:
            self._out.write("\n")
            self._out.flush()

    def advance(self, parts: int = 1) -> None:
        """Count `parts` more as done."""
        self._done = min(self._done + parts, self._total)
        wait = _REDRAW_EVERY_S if self._bar else _PLAIN_EVERY_S
        if time.monotonic() - self._shown >= wait:
            self._show()

    def _show(self) -> None:
        self._shown = time.monotonic()
        seconds = int(self._shown - self._began)
        text = f"{self._label}: {self._done}/{self._total} {self._unit}, {seconds // 60}:{seconds % 60:02d}"
        if self._bar:
            full = _BAR_WIDTH * self._done // self._total
            self._out.write(f"\r[{'#' * full}{'.' * (_BAR_WIDTH - full)}] {text}")
        else:
            self._out.write(text + "\n")
        self._out.flush()
