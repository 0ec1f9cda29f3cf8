"""What a scheduled run says while it runs: a line for people, or one JSON object a line for machines; and its times."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ecm.cli.session import Session
from ecm.model.run import Phase


@dataclass
class RunLog:
    """Says what happens on standard error and keeps how long each phase took."""

    session: Session
    as_json: bool
    phases: list[Phase] = field(default_factory=list)

    def say(self, phase: str, text: str, **facts: str | int | None) -> None:
        """Say one thing; `facts` are for machines, `text` holds them for people."""
        if not self.as_json:
            self.session.err.print(f"{phase}: {text}", markup=False, highlight=False)
            return
        line = {
            "at": self.session.now().isoformat(),
            "stack": self.session.stack,
            "phase": phase,
            "says": text,
            **facts,
        }
        self.session.err.out(json.dumps(line, ensure_ascii=False), highlight=False)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase, also one that fails."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.phases.append(Phase(name=name, milliseconds=int(1000 * (time.monotonic() - began))))
