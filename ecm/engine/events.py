"""Reads the engine's event log: one JSON object a line, appended while the operation runs.

The field names are those of the engine's public event types (`apitype.EngineEvent` of the Pulumi SDK, 3.226 on).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from ecm.engine.outcome import Diagnostic, Progress, State, Step, Violation

_COLOURS = re.compile(r"<\{%.*?%\}>|\x1b\[[0-9;]*[A-Za-z]")
_SEVERITIES = {"info": "info", "info#err": "info", "warning": "warning", "error": "error"}
_STATES: dict[str, State] = {"resourcePreEvent": "started", "resOutputsEvent": "done", "resOpFailedEvent": "failed"}


class Collector:
    """Takes event lines as they come and keeps what they add up to. `on_progress` hears of each change."""

    def __init__(self, on_progress: Callable[[Progress], None] | None = None) -> None:
        self._on_progress = on_progress
        self._steps: dict[tuple[str, str], Step] = {}
        self._done = 0
        self.diagnostics: list[Diagnostic] = []
        self.violations: list[Violation] = []
        self.summary: dict[str, Any] = {}

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step, in the order in which the engine began them. In a preview all are only planned."""
        if not self.summary.get("isPreview"):
            return tuple(self._steps.values())
        return tuple(step.model_copy(update={"state": "planned"}) for step in self._steps.values())

    def line(self, text: str) -> None:
        """Take one line of the log; a line that is no JSON object or an event of another kind is passed over."""
        try:
            event = json.loads(text)
        except ValueError:
            return
        if not isinstance(event, dict):
            return
        for kind, state in _STATES.items():
            if kind in event:
                self._step(event[kind]["metadata"], state)
        if "diagnosticEvent" in event:
            self._diagnostic(event["diagnosticEvent"])
        if "policyEvent" in event:
            self._violation(event["policyEvent"])
        if "summaryEvent" in event:
            self.summary = event["summaryEvent"]

    def _step(self, facts: dict[str, Any], state: State) -> None:
        step = _step(facts, state)
        if _is_default_provider(step):
            return
        known = self._steps.get((step.urn, step.op))
        if known is not None and known.state in {state, "done", "failed"}:
            return
        self._steps[step.urn, step.op] = step
        if not step.changes:
            return
        self._done += state == "done"
        if self._on_progress is not None:
            self._on_progress(Progress(step=step, done=self._done))

    def _diagnostic(self, facts: dict[str, Any]) -> None:
        severity = _SEVERITIES.get(facts.get("severity", ""))
        text = plain(facts.get("message", "")).strip()
        if severity is None or facts.get("ephemeral") or not text:
            return
        self.diagnostics.append(
            Diagnostic.model_validate({"severity": severity, "message": text, "urn": facts.get("urn", "")})
        )

    def _violation(self, facts: dict[str, Any]) -> None:
        self.violations.append(
            Violation(
                policy=facts.get("policyName", ""),
                pack=facts.get("policyPackName", ""),
                enforcement=facts.get("enforcementLevel", ""),
                message=plain(facts.get("message", "")).strip(),
                urn=facts.get("resourceUrn", ""),
            )
        )


def plain(text: str) -> str:
    """`text` without the engine's colour marks and terminal sequences."""
    return _COLOURS.sub("", text)


def _is_default_provider(step: Step) -> bool:
    """Whether the engine made the resource up for itself; its own summary does not count it either."""
    return step.type.startswith("pulumi:providers:") and step.name.startswith("default")


def _step(facts: dict[str, Any], state: State) -> Step:
    urn = facts.get("urn", "")
    diff = facts.get("detailedDiff") or dict.fromkeys(facts.get("diffs") or ())
    return Step(
        urn=urn,
        type=facts.get("type", ""),
        name=urn.rpartition("::")[2],
        op=facts.get("op", ""),
        state=state,
        diff=tuple(sorted(diff)),
        replace_keys=tuple(sorted(facts.get("keys") or ())),
    )
