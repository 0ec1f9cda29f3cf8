"""Points as the bytes of one Parquet part, and back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ecm.model.points import Points
from ecm.model.series import SeriesKey

_ROWS = 65_536
"""Rows of a row group: points lie sorted by series, so that a few series are read from a few groups."""
_SCHEMA = pa.schema(
    [
        ("series", pa.int32()),
        ("timestamp", pa.timestamp("us", tz="UTC")),
        ("mbps", pa.float64()),
        ("saturated", pa.bool_()),
    ]
)


def encoded(points: Points) -> bytes:
    """Return `points`, which are sorted by series and time, as Parquet: equal points give equal bytes."""
    table = pa.Table.from_arrays(
        [
            pa.array(points.index),
            pa.array(points.stamps.astype(np.int64)).cast(_SCHEMA.field("timestamp").type),
            pa.array(points.mbps),
            pa.array(points.saturated),
        ],
        schema=_SCHEMA,
    )
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        row_group_size=_ROWS,
        compression="zstd",
        use_dictionary=["series"],
        column_encoding={"timestamp": "DELTA_BINARY_PACKED", "mbps": "PLAIN"},
        write_statistics=["series", "timestamp"],
    )
    data: bytes = sink.getvalue().to_pybytes()
    return data


def decoded(data: bytes, series: tuple[SeriesKey, ...], wanted: npt.NDArray[np.int32] | None) -> Points:
    """Return the points of a part whose series is among `wanted` (None: all); other row groups are not read."""
    with pq.ParquetFile(pa.BufferReader(data)) as file:
        table = file.read() if wanted is None else file.read_row_groups(_groups(file, wanted))
    index = table.column("series").to_numpy()
    points = Points(
        series,
        index,
        table.column("timestamp").to_numpy().astype("datetime64[us]"),
        table.column("mbps").to_numpy(),
        table.column("saturated").to_numpy(),
    )
    return points if wanted is None else points.chosen(np.isin(index, wanted))


def _groups(file: pq.ParquetFile, wanted: npt.NDArray[np.int32]) -> list[int]:
    """Return the row groups whose range of series holds one of `wanted`."""
    found = []
    for number in range(file.metadata.num_row_groups):
        held = file.metadata.row_group(number).column(0).statistics
        if held is None or ((wanted >= held.min) & (wanted <= held.max)).any():
            found.append(number)
    return found
