"""Blocks of a forecast in other processes and on a real Dask cluster: the same bytes, and all of them at work."""

from __future__ import annotations

import pytest

from ecm.forecast.outlook import OutlookPredictor
from ecm.model.base import canonical
from ecm.pipeline.backends import BackendError, Dask, Processes
from tests.unit.test_forecast_outlook import END, STEPS, fleet_of, history_of, loads

distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")


def boom(*_):
    raise ValueError("broken block")


@pytest.fixture(scope="module")
def small_blocks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ecm.forecast.outlook.predicting.SERIES_AT_ONCE", 3)
        yield


@pytest.fixture(scope="module")
def panel(small_blocks):
    """Enough series that a model of all of them is tried; what is forecast of them in this process."""
    history, fleet = history_of(loads(12, days=21)[:, :-STEPS]), fleet_of(12)
    here = OutlookPredictor(history, fleet)
    return history, fleet, canonical(here.at(END)), here.kept


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as made:
        yield made


def test_processes_give_the_same_bytes(panel):
    history, fleet, here, kept = panel
    with Processes(2) as backend:
        predictor = OutlookPredictor(history, fleet, backend=backend)
        assert canonical(predictor.at(END)) == here
        assert predictor.kept == kept


def test_dask_gives_the_same_bytes_and_both_workers_work(panel, cluster):
    history, fleet, here, kept = panel
    with Dask(cluster.scheduler_address) as backend:
        predictor = OutlookPredictor(history, fleet, backend=backend)
        assert canonical(predictor.at(END)) == here
        assert predictor.kept == kept
        assert set(backend.ran) == {nanny.worker_address for nanny in cluster.workers.values()}
        assert sum(backend.ran.values()) == 2 * 4
        again = OutlookPredictor(history, fleet, kept=kept, backend=backend)
        assert canonical(again.at(END)) == here


def test_an_error_on_a_worker_is_told(cluster):
    with Dask(cluster.scheduler_address) as backend, pytest.raises(ValueError, match="broken block"):
        list(backend.map(boom, (), [(1,), (2,)]))


def test_workers_of_another_version_are_refused(cluster, monkeypatch):
    monkeypatch.setattr("ecm.pipeline.backends.__version__", "0.0.0")
    with pytest.raises(BackendError, match=r"has ECM .*, not 0\.0\.0"), Dask(cluster.scheduler_address):
        pass


def test_a_cluster_without_workers_is_named():
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=None, host="127.0.0.1") as empty,
        pytest.raises(BackendError, match="no worker has joined"),
        Dask(empty.scheduler_address),
    ):
        pass


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://x"])
def test_an_unreachable_scheduler_is_named(address, monkeypatch):
    monkeypatch.setattr("ecm.pipeline.backends.CONNECT_S", 1)
    with pytest.raises(BackendError, match="no Dask scheduler answers"), Dask(address):
        pass
