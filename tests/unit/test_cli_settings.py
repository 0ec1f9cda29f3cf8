"""What a stack's configuration file says of ECM, and what is said of a wrong one."""

from __future__ import annotations

import pytest

from ecm.cli.exits import CommandError
from ecm.cli.settings import ForecastSettings, read_settings


def forecast_settings(tmp_path, text):
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "Pulumi.dev.yaml").write_text(f"config:\n  aws:region: us-east-1\n{text}", encoding="utf-8")
    return read_settings(tmp_path, "dev").forecast


KEY = "  endpoint-chain-manager:forecast:"


def test_forecasts_are_worked_on_here_unless_told(tmp_path):
    assert forecast_settings(tmp_path, "") == ForecastSettings("local", None)


def test_dask_with_its_scheduler(tmp_path):
    told = f"{KEY}\n    backend: dask\n    scheduler: tls://10.0.0.5:8786\n"
    assert forecast_settings(tmp_path, told) == ForecastSettings("dask", "tls://10.0.0.5:8786")


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (" dask\n", "must hold"),
        ("\n    backend: dask\n    address: tcp://a:1\n", "must hold"),
        ("\n    backend: spark\n", r"backend: 'spark' is not known; there is: local, dask"),
        ("\n    backend: dask\n", r"scheduler: backend dask needs an address"),
        ("\n    scheduler: tcp://a:1\n", r"scheduler: backend local has no use for an address"),
    ],
)
def test_wrong_settings_are_named(tmp_path, told, said):
    with pytest.raises(CommandError, match=said) as caught:
        forecast_settings(tmp_path, KEY + told)
    assert "Pulumi.dev.yaml" in str(caught.value)
