"""Joint forecast of the load of all applications, with errors measured out of sample."""

from ecm.forecast.errors import ForecastError
from ecm.forecast.models import DEFAULT, Tried
from ecm.forecast.predicting import Predictor, predict

__all__ = ["DEFAULT", "ForecastError", "Predictor", "Tried", "predict"]
