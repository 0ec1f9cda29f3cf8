"""Points from a Prometheus server, by range over its HTTP interface."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import urllib3

from ecm.model.collection import Kind, Part, PrometheusSource
from ecm.model.fleet import Fleet
from ecm.model.points import Points
from ecm.model.series import SeriesKey
from ecm.telemetry.errors import TelemetryError
from ecm.telemetry.rates import Grid, Samples, Values, counter_rates, gauge_means, summed

_BUSY: Final = (429, 500, 502, 503, 504)
_PATIENCE: Final = urllib3.Retry(
    total=4, backoff_factor=0.5, status_forcelist=_BUSY, allowed_methods=None, raise_on_status=False
)
"""Both ask only, so that every request may be sent again."""
_TIMEOUT: Final = urllib3.Timeout(connect=5, read=60)
_REFUSED: Final = (401, 403)


class Prometheus:
    """One metric on one server, as points of the fleet's applications."""

    window: Final = timedelta(hours=1)
    """Asked for at once: every sample is in one answer."""

    def __init__(self, source: PrometheusSource, fleet: Fleet, root: Path) -> None:
        self._source = source
        self._vpn_of = {a.id: a.vpn for a in fleet.applications}
        self._where = f"source {source.name} ({source.url})"
        self._headers = self._authorization(root)
        try:
            ca_file = str(root / source.ca_file) if source.ca_file else None
            self._pool = urllib3.PoolManager(retries=_PATIENCE, timeout=_TIMEOUT, ca_certs=ca_file)
        except (OSError, ValueError) as error:
            raise self._error(f"ca_file {source.ca_file}: {error}", "name a file of PEM certificates") from None

    def points(self, start: datetime, end: datetime, interval_min: int) -> Points:
        """Return the means over the intervals in [start, end), which lie on the grid; what is not known is left out.

        The samples themselves are asked for, not the server's own rate(), which guesses beyond them: what the counters
        counted is what comes out.
        """
        grid = Grid(int(start.timestamp()), int(end.timestamp()), interval_min * 60)
        grouped: dict[SeriesKey, list[tuple[Samples, Values]]] = defaultdict(list)
        for labels, samples in self._samples(self._source.metric, grid):
            grouped[self._key(labels)].append((samples, _rates(self._source.kind, samples, grid)))
        series = tuple(sorted(grouped, key=lambda k: (k.vpn, k.application, k.tier, k.node)))
        if not series:
            return Points((), np.zeros(0, np.int32), np.zeros(0, "datetime64[us]"), np.zeros(0), np.zeros(0, np.bool_))
        mbps = np.stack([summed(grouped[key], grid) for key in series]) * self._source.unit.megabits
        index, slot = np.nonzero(~np.isnan(mbps))
        stamps = (grid.edges[:-1].astype(np.int64) * 1_000_000).astype("datetime64[us]")
        saturated = self._saturated(series, grid)
        return Points(series, index.astype(np.int32), stamps[slot], mbps[index, slot], saturated[index, slot])

    def require_metric(self) -> None:
        """Raise TelemetryError where the server has never heard of the metric, or of one that tells of saturation."""
        known = self._asked("label/__name__/values")
        for metric in (self._source.metric, *(s.metric for s in self._source.saturated_when)):
            name = metric.partition("{")[0]
            if name not in known:
                raise self._error(
                    "the server knows no such metric",
                    "correct `metric`, or let the server scrape what exports it",
                    value=name,
                )

    def _saturated(self, series: tuple[SeriesKey, ...], grid: Grid) -> npt.NDArray[np.bool_]:
        """Return (series, intervals): where a metric of `saturated_when` says that there was no more to give."""
        flags = np.zeros((len(series), len(grid.edges) - 1), dtype=np.bool_)
        for number, when in enumerate(self._source.saturated_when):
            parts = {of: part for of in ("vpn", "tier", "node") if (part := getattr(when, of)) is not None}
            for labels, samples in self._samples(when.metric, grid):
                named = {of: self._named(part, f"saturated_when.{number}.{of}", labels) for of, part in parts.items()}
                rows = [i for i, key in enumerate(series) if all(getattr(key, of) == v for of, v in named.items())]
                flags[rows] |= np.nan_to_num(_rates(when.kind, samples, grid), nan=-np.inf) > when.above
        return flags

    def _samples(self, metric: str, grid: Grid) -> list[tuple[dict[str, str], Samples]]:
        """Return what a metric's series showed in the grid, and as far beyond it as a sample reaches."""
        seconds = grid.end - grid.start + 2 * grid.reach
        fields = {"query": f"{metric}[{seconds}s]", "time": f"{float(grid.end + grid.reach):.3f}"}
        found = []
        for item in self._asked("query", fields)["result"]:
            pairs = np.array([(float(at), float(value)) for at, value in item["values"]], dtype=np.float64)
            found.append((item["metric"], Samples(pairs[:, 0], pairs[:, 1])))
        return found

    def _key(self, labels: dict[str, str]) -> SeriesKey:
        mapping = self._source.mapping
        vpn, application, tier, node = (
            self._named(part, f"mapping.{of}", labels)
            for of, part in (
                ("vpn", mapping.vpn),
                ("application", mapping.application),
                ("tier", mapping.tier),
                ("node", mapping.node),
            )
        )
        if self._vpn_of.get(application) != vpn:
            known = ", ".join(f"{v}/{a}" for a, v in sorted(self._vpn_of.items()))
            raise self._error(
                "the fleet has no such VPN and application",
                f"known: {known}; correct `mapping`, or leave the series out by a matcher in `metric`",
                value=f"{vpn}/{application}",
            )
        return SeriesKey(vpn=vpn, application=application, tier=tier, node=node)

    def _named(self, part: Part, of: str, labels: dict[str, str]) -> str:
        if part.value is not None:
            return part.value
        found = labels.get(part.label or "")
        if found is None:
            raise self._error(
                f"{of}: a series has no label {part.label!r}",
                f"its labels are {', '.join(sorted(labels))}; correct `{of.partition('.')[0]}`",
                value=labels.get("__name__"),
            )
        return part.names.get(found, found)

    def _asked(self, what: str, fields: dict[str, str] | None = None) -> Any:  # noqa: ANN401 - JSON
        url = f"{self._source.url.rstrip('/')}/api/v1/{what}"
        try:
            if fields is None:
                answer = self._pool.request("GET", url, headers=self._headers)
            else:
                answer = self._pool.request("POST", url, fields=fields, headers=self._headers, encode_multipart=False)
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise self._error(f"no answer: {reason}", "check the address and that the server runs") from None
        if answer.status in _REFUSED:
            raise self._error(f"the server refuses these credentials (HTTP {answer.status})", "correct `token_file`")
        try:
            data = json.loads(answer.data)
            if data["status"] == "success":
                return data["data"]
            said = str(data.get("error", data["status"]))
        except (ValueError, KeyError, TypeError):
            said = f"HTTP {answer.status}, and no answer of Prometheus's"
        raise self._error(said, "check `url` and `metric`")

    def _authorization(self, root: Path) -> dict[str, str]:
        if self._source.token_file is None:
            return {}
        try:
            token = (root / Path(self._source.token_file).expanduser()).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise self._error(f"token_file {self._source.token_file}: cannot be read ({error})", "mend it") from None
        return {"Authorization": f"Bearer {token}"}

    def _error(self, what: str, remedy: str, *, value: object = None) -> TelemetryError:
        return TelemetryError(what, file=self._where, remedy=remedy, value=value)


def _rates(kind: Kind, samples: Samples, grid: Grid) -> Values:
    return (counter_rates if kind is Kind.COUNTER else gauge_means)(samples, grid)
