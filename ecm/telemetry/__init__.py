"""Measured load: read from files, examined, never silently repaired."""

from ecm.telemetry.errors import TelemetryError
from ecm.telemetry.freshness import age_min, days
from ecm.telemetry.plain import Imported, PlainImport, import_plain, write_table
from ecm.telemetry.reading import inspect, read
from ecm.telemetry.synthetic import generate
from ecm.telemetry.trace import PlainTrace, read_trace

__all__ = [
    "Imported",
    "PlainImport",
    "PlainTrace",
    "TelemetryError",
    "age_min",
    "days",
    "generate",
    "import_plain",
    "inspect",
    "read",
    "read_trace",
    "write_table",
]
