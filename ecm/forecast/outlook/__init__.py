"""Two days ahead for many series: quantiles of every step, in blocks of numpy passes."""

from ecm.forecast.outlook.grid import HOURS
from ecm.forecast.outlook.predicting import Backend, OutlookPredictor, outlook

__all__ = ["HOURS", "Backend", "OutlookPredictor", "outlook"]
