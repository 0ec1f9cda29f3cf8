"""Measured load: read from files, examined, never silently repaired."""

from ecm.telemetry.demand import demand_table
from ecm.telemetry.errors import TelemetryError
from ecm.telemetry.freshness import age_min, days, faults
from ecm.telemetry.plain import Imported, PlainImport, import_plain, write_table
from ecm.telemetry.prometheus import Prometheus
from ecm.telemetry.reading import inspect, points, read
from ecm.telemetry.rows import Source, Table
from ecm.telemetry.saturation import at_capacity, plan_limits
from ecm.telemetry.synthetic import generate
from ecm.telemetry.trace import PlainTrace, read_trace

__all__ = [
    "Imported",
    "PlainImport",
    "PlainTrace",
    "Prometheus",
    "Source",
    "Table",
    "TelemetryError",
    "age_min",
    "at_capacity",
    "days",
    "demand_table",
    "faults",
    "generate",
    "import_plain",
    "inspect",
    "plan_limits",
    "points",
    "read",
    "read_trace",
    "write_table",
]
