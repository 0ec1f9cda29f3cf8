"""Where files lie that are not part of what people write."""

from __future__ import annotations

from pathlib import Path

from ecm.cli.exits import CommandError
from ecm.cli.session import Session
from ecm.model.links import Topic


def telemetry_path(session: Session, given: Path | None) -> Path:
    """Return the telemetry to read: `given`, else `.ecm/telemetry/<stack>` as a folder, Parquet or CSV file."""
    if given is not None:
        return given.expanduser()
    base = session.root / ".ecm" / "telemetry"
    candidates = [base / session.stack, base / f"{session.stack}.parquet", base / f"{session.stack}.csv"]
    found = next((path for path in candidates if path.exists()), None)
    if found is None:
        raise CommandError(
            f"no telemetry: {candidates[1]} does not exist\n"
            "    Give --telemetry FILE, collect it with: ecm collect; or make the file with: ecm telemetry import",
            topic=Topic.STALE_TELEMETRY,
        )
    return found
