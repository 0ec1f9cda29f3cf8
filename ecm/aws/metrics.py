"""Points from CloudWatch: GetMetricData, many series a request, page by page."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ecm.aws.session import AwsError, translated
from ecm.model.collection import CloudWatchSource, Statistic
from ecm.model.points import Points
from ecm.model.series import SeriesKey

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.client import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import MetricDataQueryTypeDef, MetricDataResultTypeDef

QUERIES: Final = 500
"""Series that one GetMetricData may ask for."""
_WHOLE: Final = frozenset({"Complete", "PartialData"})
"""PartialData: the rest is on the next page."""


class _Metric(NamedTuple):
    """What is asked for of every series."""

    namespace: str
    name: str
    statistic: Statistic


class CloudWatch:
    """The series of one metric, as points of the applications that the configuration names for them."""

    window: Final = timedelta(days=1)
    """Asked for at once: each series of each request is paid for."""

    def __init__(self, source: CloudWatchSource, client: CloudWatchClient) -> None:
        self._source = source
        self._client = client

    def require_metric(self) -> None:
        """Raise AwsError where CloudWatch has never heard of the metric with one of the series' dimensions."""
        source = self._source
        for series in source.series:
            with translated(f"list metrics for source {source.name}"):
                found = self._client.list_metrics(
                    Namespace=source.namespace,
                    MetricName=source.metric,
                    Dimensions=[{"Name": k, "Value": v} for k, v in sorted(series.dimensions.items())],
                )["Metrics"]
            if not any({d["Name"]: d["Value"] for d in m.get("Dimensions", ())} == series.dimensions for m in found):
                shown = ", ".join(f"{k}={v}" for k, v in sorted(series.dimensions.items()))
                raise AwsError(
                    f"source {source.name}: CloudWatch knows no {source.namespace}/{source.metric} with exactly the "
                    f"dimensions {shown}; correct them: aws cloudwatch list-metrics --namespace {source.namespace}"
                )

    def points(self, start: datetime, end: datetime, interval_min: int) -> Points:
        """Return the points of [start, end); intervals that CloudWatch has nothing for are left out."""
        source, span = self._source, (start, end)
        found = self._values(_Metric(source.namespace, source.metric, source.statistic), span, interval_min)
        full = {
            (number, at)
            for when in (source.saturated_when if found else ())
            for number, values in self._values(
                _Metric(when.namespace, when.metric, when.statistic), span, interval_min
            ).items()
            for at, value in values.items()
            if value > when.above
        }
        factor = self._source.unit.megabits
        if self._source.statistic is Statistic.SUM:
            factor /= interval_min * 60
        rows = [(i, at, value) for i, values in sorted(found.items()) for at, value in values.items() if at < end]
        keys = [SeriesKey(vpn=s.vpn, application=s.application, tier=s.tier, node=s.node) for s in self._source.series]
        series = tuple(dict.fromkeys(keys))
        stamps = np.array([np.datetime64(at.replace(tzinfo=None), "us") for _, at, _ in rows], dtype="datetime64[us]")
        return Points(
            series,
            np.array([series.index(keys[i]) for i, _, _ in rows], dtype=np.int32),
            stamps,
            np.array([value * factor for *_, value in rows], dtype=np.float64),
            np.array([(i, at) in full for i, at, _ in rows], dtype=np.bool_),
        )

    def _values(
        self, metric: _Metric, span: tuple[datetime, datetime], interval_min: int
    ) -> dict[int, dict[datetime, float]]:
        """Return the values of a metric by series and time, with the dimensions of the source's series."""
        found: dict[int, dict[datetime, float]] = defaultdict(dict)
        count = len(self._source.series)
        for first in range(0, count, QUERIES):
            which = range(first, min(first + QUERIES, count))
            pages = self._client.get_paginator("get_metric_data").paginate(
                MetricDataQueries=[self._query(metric, i, interval_min * 60) for i in which],
                StartTime=span[0],
                EndTime=span[1],
                ScanBy="TimestampAscending",
            )
            with translated(f"read metrics for source {self._source.name}"):
                for page in pages:
                    for result in page["MetricDataResults"]:
                        self._require_whole(result)
                        at = (moment.astimezone(span[0].tzinfo) for moment in result["Timestamps"])
                        found[int(result["Id"][1:])].update(zip(at, result["Values"], strict=True))
        return found

    def _require_whole(self, result: MetricDataResultTypeDef) -> None:
        if result["StatusCode"] not in _WHOLE:
            said = "; ".join(m.get("Value", "") for m in result.get("Messages", ()))
            raise AwsError(
                f"source {self._source.name}: CloudWatch answers {result['StatusCode']} for one of the series"
                f"{': ' + said if said else ''}; try again, or give the role cloudwatch:GetMetricData"
            )

    def _query(self, metric: _Metric, number: int, period: int) -> MetricDataQueryTypeDef:
        dimensions = sorted(self._source.series[number].dimensions.items())
        return {
            "Id": f"s{number}",
            "MetricStat": {
                "Metric": {
                    "Namespace": metric.namespace,
                    "MetricName": metric.name,
                    "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions],
                },
                "Period": period,
                "Stat": metric.statistic.value,
            },
        }
