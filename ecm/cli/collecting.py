"""What `ecm collect` does: points from sources into the history, then the history compacted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ecm import intent, telemetry
from ecm.cli.histories import stack_history
from ecm.cli.session import Session
from ecm.model.base import Frozen, Text, UtcTime
from ecm.store.history import Compacted, History, Retention

Progressed = Callable[[int, int], None]


class Taken(Frozen):
    """What came of one source."""

    source: Text
    points: int
    """Points taken in, one for each series and time."""
    late: int
    """Points left out: of days that are kept as means alone."""
    changed: bool
    """False where the history held all of them already."""


class Collected(Frozen):
    """What a run of `ecm collect` did, and what the history is now."""

    sources: tuple[Taken, ...]
    series: int
    days: int
    first: UtcTime | None
    last: UtcTime | None
    """Earliest and latest stamp."""
    compacted_days: int
    dropped_days: int


def collect_files(session: Session, paths: tuple[Path, ...], keep: Retention) -> Collected:
    """Take the files into the stack's history, one after the other; TelemetryError names the one that cannot be read.

    What stood in the history, and the files before the bad one, stay.
    """
    fleet = intent.load(session.root, session.stack).fleet
    history = stack_history(session)
    taken = []
    with _progress(session.err, "files", len(paths)) as bar:
        for path in paths:
            points = telemetry.points(path.expanduser(), fleet=fleet)
            done = history.append(points)
            taken.append(Taken(source=str(path), points=done.points, late=done.late, changed=done.changed))
            bar(len(taken), len(paths))
    return finished(session, history, keep, tuple(taken))


def finished(session: Session, history: History, keep: Retention, taken: tuple[Taken, ...]) -> Collected:
    """Compact the history and return what the run did."""
    with _progress(session.err, "days compacted", None) as bar:
        compacted: Compacted = history.compact(session.now(), keep, bar)
    manifest = history.manifest()
    parts = manifest.parts()
    return Collected(
        sources=taken,
        series=len(manifest.series),
        days=len(manifest.days),
        first=min((p.first for p in parts), default=None),
        last=max((p.last for p in parts), default=None),
        compacted_days=compacted.days,
        dropped_days=compacted.dropped,
    )


def show(out: Console, made: Collected) -> None:
    """Print what a run did."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("source", "points", "too late", ""):
        table.add_column(column, justify="right" if column in ("points", "too late") else "left")
    for item in made.sources:
        table.add_row(item.source, str(item.points), str(item.late), "" if item.changed else "nothing new")
    out.print(table)
    if made.first is not None and made.last is not None:
        out.print(
            f"history: {made.series} series, {made.days} days, {made.first:%Y-%m-%d %H:%M} to "
            f"{made.last:%Y-%m-%d %H:%M} UTC; {made.compacted_days} days compacted, {made.dropped_days} dropped",
            markup=False,
        )
    if any(item.late for item in made.sources):
        out.print("too late: their days are kept as means over 15 min alone, which cannot be made again", markup=False)


@contextmanager
def _progress(err: Console, doing: str, total: int | None) -> Iterator[Progressed]:
    """Yield what is told how many of how many are done; silent where output is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(doing, total=total)
        yield lambda done, of: bar.update(task, completed=done, total=of)
