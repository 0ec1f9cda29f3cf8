"""What `ecm collect` does: points from sources into the history, then the history compacted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event
from typing import Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ecm import intent, telemetry
from ecm.aws import AwsError, client_config, open_session
from ecm.aws.metrics import CloudWatch
from ecm.cli.exits import CommandError
from ecm.cli.histories import stack_history
from ecm.cli.saturating import Marker
from ecm.cli.session import Session
from ecm.model.base import Frozen, Text, UtcTime
from ecm.model.collection import CloudWatchSource
from ecm.model.points import Points
from ecm.store import StoreError
from ecm.store.history import Compacted, History, Reached, Retention

Progressed = Callable[[int, int], None]


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SETTLED: Final = timedelta(minutes=2)
"""An interval is asked for this long after its end: until then not every node was scraped past it."""
AGAIN: Final = timedelta(minutes=15)
"""So much before the point that was reached is asked for again: late points replace what stood there."""


class Source(Protocol):
    """Where points come from; TelemetryError or AwsError when it does not give them."""

    @property
    def window(self) -> timedelta:
        """What is asked for at once, and written at once: a run that is cut off goes on from its last window."""

    def require_metric(self) -> None:
        """Raise where the metric is not known there."""

    def points(self, start: datetime, end: datetime, interval_min: int) -> Points:
        """Return the points of [start, end), both on the grid of intervals."""


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


def collect_files(session: Session, paths: tuple[Path, ...]) -> Collected:
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
    return finished(session, history, tuple(taken))


def collect_sources(session: Session, since: datetime | None) -> Collected:
    """Collect the sources of the stack's configuration, each from where it was reached, or from `since`.

    A source that fails does not keep the others from being collected; CommandError then says what failed.
    """
    opened = _sources(session)
    if not opened:
        raise CommandError(
            f"{session.settings.path}: no sources in endpoint-chain-manager:telemetry\n"
            "    Give files, or name a source there: README.md, Telemetry"
        )
    history, taken, failed = stack_history(session), [], []
    for name, opening in opened:
        try:
            taken.append(_collect(session, history, (name, opening()), since))
        except (telemetry.TelemetryError, StoreError, AwsError) as error:
            failed.append(str(error))
    made = finished(session, history, tuple(taken))
    if failed:
        raise CommandError("\n".join(failed) + f"\n    Then run it again; {len(taken)} other sources were collected")
    return made


def _sources(session: Session) -> list[tuple[str, Callable[[], Source]]]:
    """Return the name of each source of the stack, and what opens it."""
    wanted = session.settings.telemetry
    fleet = intent.load(session.root, session.stack).fleet
    of_vpn = {(a.vpn, a.id) for a in fleet.applications}
    for source in wanted.cloudwatch:
        unknown = next((s for s in source.series if (s.vpn, s.application) not in of_vpn), None)
        if unknown is not None:
            raise CommandError(
                f"{session.settings.path}: source {source.name}: the fleet has no {unknown.vpn}/{unknown.application}; "
                f"known: {', '.join(f'{vpn}/{application}' for vpn, application in sorted(of_vpn))}"
            )
    opened: list[tuple[str, Callable[[], Source]]] = []
    opened += [(s.name, partial(telemetry.Prometheus, s, fleet, session.root)) for s in wanted.prometheus]
    opened += [(s.name, partial(_cloudwatch, session, s)) for s in wanted.cloudwatch]
    return opened


def _cloudwatch(session: Session, source: CloudWatchSource) -> CloudWatch:
    region = intent.load(session.root, session.stack).fleet.region
    return CloudWatch(source, open_session(region).client("cloudwatch", config=client_config()))


def follow(session: Session, once: Callable[[], Collected], stop: Event) -> None:
    """Collect again after each interval until `stop` is set; an error is said, and the next interval tries again."""
    every = session.settings.telemetry.interval_min * 60
    while True:
        try:
            made = once()
            session.note(f"{sum(item.points for item in made.sources)} points until {made.last}")
        except (CommandError, StoreError) as error:
            session.err.print(f"error: {error}", markup=False, style="red")
        if stop.wait(every - session.now().timestamp() % every):
            return


def _collect(session: Session, history: History, source: tuple[str, Source], since: datetime | None) -> Taken:
    name, server = source
    server.require_metric()
    wanted = session.settings.telemetry
    step = timedelta(minutes=wanted.interval_min)
    end = _floor(session.now() - SETTLED, step)
    mark = next((m.until - AGAIN for m in history.manifest().reached if m.source == name), None)
    start = _floor(since or mark or end - timedelta(days=wanted.back_fill_days), step)
    windows = max(-(-(end - start) // server.window), 0)
    taken, late, changed = 0, 0, False
    marker = Marker(session, history)
    with _progress(session.err, name, windows) as bar:
        for number in range(windows):
            first = start + number * server.window
            last = min(first + server.window, end)
            points = marker.marked(server.points(first, last, wanted.interval_min), first, last)
            done = history.append(points, Reached(source=name, until=last))
            taken, late, changed = taken + done.points, late + done.late, changed or done.changed
            bar(number + 1, windows)
    return Taken(source=name, points=taken, late=late, changed=changed)


def _floor(moment: datetime, step: timedelta) -> datetime:
    return moment - (moment - _EPOCH) % step


def finished(session: Session, history: History, taken: tuple[Taken, ...]) -> Collected:
    """Compact the history and return what the run did."""
    wanted = session.settings.telemetry
    keep = Retention(wanted.keep_raw_days, wanted.keep_days)
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
