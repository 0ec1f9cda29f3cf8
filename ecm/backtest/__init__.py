"""Backtest: decisions replayed over history, against faithful peers and the exact clairvoyant optimum."""
