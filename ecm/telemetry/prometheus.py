"""Points from a Prometheus server, by range over its HTTP interface."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
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
        for labels, samples in self._samples(
            end + timedelta(seconds=grid.reach), grid.end - grid.start + 2 * grid.reach
        ):
            rate = counter_rates if self._source.kind is Kind.COUNTER else gauge_means
            grouped[self._key(labels)].append((samples, rate(samples, grid)))
        series = tuple(sorted(grouped, key=lambda k: (k.vpn, k.application, k.tier, k.node)))
        if not series:
            return Points((), np.zeros(0, np.int32), np.zeros(0, "datetime64[us]"), np.zeros(0), np.zeros(0, np.bool_))
        mbps = np.stack([summed(grouped[key], grid) for key in series]) * self._source.unit.megabits
        index, slot = np.nonzero(~np.isnan(mbps))
        stamps = (grid.edges[:-1].astype(np.int64) * 1_000_000).astype("datetime64[us]")
        return Points(series, index.astype(np.int32), stamps[slot], mbps[index, slot], np.zeros(len(index), np.bool_))

    def require_metric(self) -> None:
        """Raise TelemetryError where the server has never heard of the metric."""
        name = self._source.metric.partition("{")[0]
        if name not in self._asked("label/__name__/values"):
            raise self._error(
                "the server knows no such metric",
                "correct `metric`, or let the server scrape what exports it",
                value=name,
            )

    def _samples(self, end: datetime, seconds: int) -> list[tuple[dict[str, str], Samples]]:
        fields = {"query": f"{self._source.metric}[{seconds}s]", "time": f"{end.timestamp():.3f}"}
        found = []
        for item in self._asked("query", fields)["result"]:
            pairs = np.array([(float(at), float(value)) for at, value in item["values"]], dtype=np.float64)
            found.append((item["metric"], Samples(pairs[:, 0], pairs[:, 1])))
        return found

    def _key(self, labels: dict[str, str]) -> SeriesKey:
        mapping = self._source.mapping
        vpn, application, tier, node = (
            self._named(part, of, labels)
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
                f"mapping.{of}: a series has no label {part.label!r}",
                f"its labels are {', '.join(sorted(labels))}; correct `mapping`",
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
