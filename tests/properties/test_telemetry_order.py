"""The order of the input rows, and how they are spread over files, never changes what is read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from ecm.model.base import canonical
from ecm.telemetry import read
from tests.traces import a_fleet

FLEET = a_fleet((("corp", "mail"), ("corp", "web")))
START = datetime(2026, 3, 2, tzinfo=UTC)
VALUE = st.one_of(st.none(), st.floats(-5, 900), st.just(-8e5), st.just(3e7))
SAMPLE = st.tuples(st.sampled_from(["mail", "web"]), st.integers(0, 40), VALUE)


@settings(max_examples=60, deadline=None)
@given(st.lists(SAMPLE, min_size=1, max_size=60), st.randoms(use_true_random=False), st.integers(0, 60))
def test_any_order_and_split_reads_byte_identical(samples, random, cut):
    rows = [(app, 60 * step, value) for app, step, value in samples]
    rows += [(app, 60 * step, 10.0 + step) for app in ("mail", "web") for step in range(45)]
    table = pd.DataFrame(
        {
            "timestamp": [(START + timedelta(minutes=minute)).isoformat() for _, minute, _ in rows],
            "vpn": "corp",
            "application": [app for app, _, _ in rows],
            "mbps": [value for _, _, value in rows],
        }
    )
    order = list(range(len(table)))
    random.shuffle(order)
    with TemporaryDirectory() as folder:
        one, many = Path(folder) / "one.csv", Path(folder) / "many"
        many.mkdir()
        table.to_csv(one, index=False)
        shuffled = table.iloc[order]
        shuffled.iloc[:cut].to_csv(many / "a.csv", index=False)
        shuffled.iloc[cut:].to_parquet(many / "b.parquet", index=False)
        assert canonical(read(one, fleet=FLEET)) == canonical(read(many, fleet=FLEET))
