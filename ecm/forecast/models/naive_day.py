"""The same time yesterday."""

from __future__ import annotations

from ecm.forecast.models.naive_week import SeasonalNaive
from ecm.forecast.panel import PanelForecaster
from ecm.forecast.season import Season

RANK = 50


def forecaster(season: Season) -> PanelForecaster:
    """Return the model for the grid of `season`."""
    return SeasonalNaive(season_steps=season.day)
