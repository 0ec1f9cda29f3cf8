"""The models: one file each, found by being here.

A model's module has `RANK` (the lower, the earlier it is preferred when evidence does not decide) and
`forecaster(season)`, which returns a `PanelForecaster`.
"""

from __future__ import annotations

import warnings
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import NamedTuple

from ecm.forecast.panel import PanelForecaster
from ecm.forecast.season import Season


class Model(NamedTuple):
    """A model for one grid."""

    name: str
    forecaster: PanelForecaster


@cache
def models(season: Season) -> tuple[Model, ...]:
    """Return all models in order of preference."""
    with warnings.catch_warnings():
        # sktime 1.2 announces each time that 1.3 will not keep fitted data; nothing here needs them.
        warnings.filterwarnings("ignore", "The default of config", FutureWarning)
        return _models(season)


def _models(season: Season) -> tuple[Model, ...]:
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    ranked = sorted(modules, key=lambda m: (m.RANK, m.__name__))
    return tuple(Model(m.__name__.rpartition(".")[2].replace("_", "-"), m.forecaster(season)) for m in ranked)
