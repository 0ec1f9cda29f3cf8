"""A backtest of one trace: from files and options to a trial, and from the trial to rows of its report."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from ecm import files
from ecm.backtest import Rules, Score, Sweep, Trace, ratio_to_clairvoyant
from ecm.backtest.coverage import Coverage
from ecm.charts.rows import Backtest, Comparison, CoverageRow, Curve, HourRow, ModelRow, Point, PolicyRow, Replay
from ecm.cli.exits import Code, CommandError
from ecm.intent import load_events
from ecm.model.base import digest_bytes
from ecm.model.fleet import Event
from ecm.pipeline.alone import Alone
from ecm.pipeline.replay import Question
from ecm.pipeline.trial import QUANTILES, Trial
from ecm.telemetry import PlainTrace, read_trace

LEARN_SHARE = 2 / 3
"""Without --from the last third is decided and the rest is history."""


@dataclass(frozen=True)
class Asked:
    """What the command line says."""

    file: Path
    column: str | None
    time_zone: str
    start: str | None
    until: str | None
    events: Path | None
    holidays: str | None
    quantile: int


@dataclass(frozen=True, eq=False)
class Prepared:
    """A question and where its trace came from."""

    source: PlainTrace
    question: Question


def prepare(asked: Asked, rules: Rules) -> Prepared:
    """Return the question of `asked`; CommandError or TelemetryError where the trace or its span do not fit."""
    found = read_trace(asked.file, column=asked.column, time_zone=asked.time_zone)
    whole = Trace(asked.file.stem, found.start, found.step_min, found.values)
    until = whole.rows if asked.until is None else _row(whole, _moment(asked.until, "--until", asked.time_zone))
    trace = whole.part(0, until)
    first = int(trace.rows * LEARN_SHARE)
    if asked.start is not None:
        first = _row(whole, _moment(asked.start, "--from", asked.time_zone))
    if not 1 <= first < trace.rows:
        raise CommandError(
            f"--from leaves no history before it or no row after it: the trace has rows from {whole.start.isoformat()} "
            f"to {_stamp(whole, whole.rows).isoformat()}, one each {whole.step_min} min",
            Code.USAGE,
        )
    rules.period(trace.step_min)
    quantiles = tuple(sorted({*QUANTILES, asked.quantile}))
    events = tuple(_unscoped(e) for e in load_events(asked.events)) if asked.events else ()
    return Prepared(found, Question(trace, rules, first, quantiles, events, asked.time_zone, asked.holidays))


def remarks(source: PlainTrace) -> tuple[str, ...]:
    """Return what a person should know of the trace's file before believing the result."""
    found = []
    if source.missing:
        found.append(f"{source.missing} steps have no row: they count as not measured and are never violated")
    if source.repeated:
        found.append(f"{source.repeated} rows repeat a step: the mean of its rows counts")
    return tuple(found)


def _unscoped(event: Event) -> Event:
    """A plain trace is one application: every event of the file is one of it."""
    return event.model_copy(update={"vpn": None, "application": None, "region": None})


def _moment(text: str, option: str, time_zone: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"{option} {text!r}: write a time such as 2026-11-18T12:00Z", Code.USAGE) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(time_zone))


def _row(trace: Trace, moment: datetime) -> int:
    """Return the first row stamped at or after `moment`, at most the number of rows."""
    steps = (moment - trace.start) / timedelta(minutes=trace.step_min)
    return min(max(math.ceil(round(steps, 6)), 0), trace.rows)


def _stamp(trace: Trace, row: int) -> datetime:
    return trace.start + timedelta(minutes=trace.step_min * row)


def write_decisions(made: Trial, prepared: Prepared, target: Path, time_zone: str) -> None:
    """Write `timestamp,nodes_desired`, one row per step that was decided, stamped as the trace's file stamps them."""
    span = made.span
    zone = ZoneInfo(time_zone)
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("timestamp", "nodes_desired"))
    for row, nodes in enumerate(made.run.desired):
        stamp = _stamp(span, row)
        if prepared.source.aware:
            shown = stamp.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        else:
            shown = stamp.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
        rows.writerow((shown, int(nodes)))
    files.write(target, text.getvalue())


def report_rows(made: Trial, asked: Asked, models: tuple[ModelRow, ...] = ()) -> Backtest:
    """Return everything that a report says about `made`."""
    span, ours = made.span, made.ours
    return Backtest(
        trace=span.name,
        start=span.start,
        end=_stamp(span, span.rows),
        ours=ours.curve.name,
        policies=(
            _policy(made, ours, made.chosen),
            *(_policy(made, peer, _nearest(peer, made)) for peer in made.peers),
            _row_of("clairvoyant", "knows the future", made.best, made),
        ),
        curves=(_curve(made, ours, made.chosen), *(_curve(made, p, None) for p in made.peers)),
        comparisons=tuple(
            Comparison(peer.curve.name, 1 - found.estimate, 1 - found.high, 1 - found.low)
            for peer, found in zip(made.peers, made.comparisons, strict=True)
        ),
        coverage=tuple(_coverage(c) for c in made.coverage),
        models=models,
        replay=_replay(made),
        settings=_settings(made, asked),
        inputs=((asked.file.name, digest_bytes(asked.file.read_bytes())),),
    )


def model_rows(trace: str, found: tuple[Alone, ...]) -> tuple[ModelRow, ...]:
    """Return what a report says of each model."""
    return tuple(
        ModelRow(
            model=one.model,
            trace=trace,
            fit_s=one.fit_s,
            update_ms=one.update_ms,
            share_of_selections=one.selected,
            pinball_window=one.loss,
            within_p99=one.within,
            violation_min=one.score.violated_min if one.score else None,
            instance_hours=one.score.node_hours if one.score else None,
            installed=one.installed,
        )
        for one in found
    )


def _nearest(peer: Sweep, made: Trial) -> int:
    """Return the peer's point with the fewest violations among those of at most our instance-hours, else the cheapest.

    So each row of the table says what the peer's money buys at our price.
    """
    mine = made.ours.scores[made.chosen].node_hours
    affordable = [i for i, s in enumerate(peer.scores) if s.node_hours <= mine]
    if not affordable:
        return min(range(len(peer.scores)), key=lambda i: peer.scores[i].node_hours)
    return min(affordable, key=lambda i: (peer.scores[i].violated_min, peer.scores[i].node_hours))


def _policy(made: Trial, swept: Sweep, place: int) -> PolicyRow:
    return _row_of(swept.curve.name, swept.curve.labels[place], swept.scores[place], made)


def _row_of(name: str, knob: str, score: Score, made: Trial) -> PolicyRow:
    spec = score.elasticity
    return PolicyRow(
        name=name,
        knob=knob,
        violation_min=score.violated_min,
        violation_share=score.violated_share,
        unserved_share=score.unserved_share,
        longest_min=score.longest_violation_min,
        instance_hours=score.node_hours,
        usd=score.usd,
        ratio_to_clairvoyant=ratio_to_clairvoyant(score, made.best),
        operations=score.operations,
        node_changes=score.node_changes,
        theta_u=spec.theta_under,
        theta_o=spec.theta_over,
        tau_u=spec.tau_under,
        tau_o=spec.tau_over,
        upsilon=spec.upsilon,
    )


def _curve(made: Trial, swept: Sweep, chosen: int | None) -> Curve:
    points = tuple(
        Point(label, ratio_to_clairvoyant(score, made.best), score.violated_min)
        for label, score in zip(swept.curve.labels, swept.scores, strict=True)
    )
    return Curve(swept.curve.name, points, chosen)


def _coverage(found: Coverage) -> CoverageRow:
    hours = tuple(HourRow(h, e.share, e.low, e.high) for h, e in enumerate(found.by_hour) if e is not None)
    return CoverageRow(found.quantile, found.overall.share, found.overall.low, found.overall.high, hours)


def _replay(made: Trial) -> Replay:
    span, run = made.span, made.run
    per_row = run.ready.size // span.rows
    ready = run.ready.reshape(span.rows, per_row).min(axis=1) * made.question.rules.capacity
    violated = run.violated.reshape(span.rows, per_row).sum(axis=1) * run.tick_min
    return Replay(
        start=span.start,
        step_min=span.step_min,
        load=tuple(float(v) for v in span.load),
        ready=tuple(float(v) for v in ready),
        violated_min=tuple(float(v) for v in violated),
        unit="in the trace's unit",
    )


def _settings(made: Trial, asked: Asked) -> tuple[tuple[str, str], ...]:
    rules, trace = made.question.rules, made.question.trace
    every = rules.decide_every_min or trace.step_min
    return (
        ("node capacity", f"{rules.capacity:g} of the trace's unit"),
        ("boot", f"{rules.boot_min} min"),
        ("decisions", f"every {every} min"),
        ("minimum", f"{rules.min_nodes} nodes"),
        ("billed after removal", f"{rules.bill_after_min} min"),
        ("planning quantile", f"{asked.quantile / 1000:g} of the window [t + boot, t + boot + {every} min)"),
        ("history before the first decision", f"{made.question.first * trace.step_min / 1440:.1f} days"),
        ("events", f"{len(made.question.events)}" + "".join(f"; {e}" for e in made.replay.effects[:10])),
        ("recognised", "; ".join(made.replay.incidents[:10]) or "no outage, retry storm or new level"),
        ("models chosen", ", ".join(f"{name} {count}" for name, count in made.replay.models[:6])),
    )


def finite(value: float) -> float | None:
    """Return `value`, or None where JSON has no word for it."""
    return value if np.isfinite(value) else None
