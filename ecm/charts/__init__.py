"""Pictures and reports of forecasts and backtests: pure functions from plain rows to bytes; matplotlib's only home.

Modules are imported by name, so that a picture on a terminal (`ecm.charts.panel` is all it needs) does not load
matplotlib.
"""
