"""The models: one file each, found by being here.

A model's module has `RANK` (the lower, the earlier it is preferred when evidence does not decide) and
`forecaster(season)`, which returns a `PanelForecaster`; one whose forecaster learns parameters may have `REFIT_DAYS`,
one that learns from all series together `LEAST_SERIES`, below which it is not tried, and one that needs the packages of
an extra `EXTRA` and `NEEDS`, by which it is tried where it is asked for and they are installed.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from types import ModuleType
from typing import Final, NamedTuple

from ecm.forecast.panel import PanelForecaster
from ecm.forecast.season import Season

REFIT_DAYS: Final = 7
"""How often a model learns its parameters where it does not say so itself."""


class Model(NamedTuple):
    """A model for one grid."""

    name: str
    forecaster: PanelForecaster
    refit_days: int
    least_series: int
    extra: str = ""
    """The extra that brings its packages; empty: it needs none."""
    needs: tuple[str, ...] = ()

    @property
    def installed(self) -> bool:
        """Whether the packages that it needs are there; nothing is imported."""
        return all(find_spec(package) is not None for package in self.needs)


@dataclass(frozen=True)
class Tried:
    """Which models are tried, by name."""

    also: tuple[str, ...] = ()
    """Besides those that need no extra."""
    only: tuple[str, ...] = ()
    """These alone, however few series there are; empty: all."""


DEFAULT: Final = Tried()


def candidates(season: Season, series: int, tried: Tried = DEFAULT) -> tuple[Model, ...]:
    """Return the models that are tried on a panel of so many series, in order of preference."""
    if tried.only:
        return tuple(m for m in models(season) if m.name in tried.only and m.installed)
    able = [m for m in models(season) if m.least_series <= series]
    return tuple(m for m in able if not m.extra or (m.name in tried.also and m.installed))


def missing(tried: Tried) -> tuple[str, ...]:
    """Return the packages that models asked for need and that are not installed."""
    asked = [m for m in models(Season(60)) if m.name in tried.also]
    return tuple(sorted({p for m in asked for p in m.needs if find_spec(p) is None}))


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
    return tuple(_model(module, season) for module in ranked)


def _model(module: ModuleType, season: Season) -> Model:
    name = module.__name__.rpartition(".")[2].replace("_", "-")
    refit_days, least = getattr(module, "REFIT_DAYS", REFIT_DAYS), getattr(module, "LEAST_SERIES", 1)
    extra, needs = getattr(module, "EXTRA", ""), getattr(module, "NEEDS", ())
    return Model(name, module.forecaster(season), refit_days, least, extra, needs)
