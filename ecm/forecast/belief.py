"""What the next occurrence of a kind is expected to do, from those before it, and how far it may be off."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from ecm.forecast.arrays import Values

PRIOR_WEIGHT = 1.0
"""The fleet file's expected factor counts as much as one measured occurrence."""
KIND_SIGMA = 0.2
KIND_TRIALS = 3.0
"""Occurrences of one kind differ: by 20 % (standard deviation of the logarithm) before any shows by how much, which
counts as if three had shown it."""
UNKNOWN_SIGMA = 0.3
"""A kind of which nothing is known multiplies or divides the load by at most 1.5 eight times in ten."""
HALF_LIFE_DAYS = 180.0
"""An occurrence counts half after half a year: audiences, prices and capacity change over a year, so that last year's
counts a quarter of last week's, while those of the last weeks count nearly alike."""
PART_SIGMA = 0.1
"""The effect of what is left of an occurrence differs from what was seen of it by 10 %."""
NINE_TENTHS = NormalDist().inv_cdf(0.9)
"""Upper end of the central 80 % of the standard normal distribution."""


@dataclass(frozen=True)
class Expected:
    """What an occurrence is expected to do."""

    factor: float
    basis: str
    """Empty: nothing is known."""
    sigma: float
    """Standard deviation of the logarithm of the occurrence's factor: of the normal distribution that has the width of
    `interval80`."""
    interval80: tuple[float, float]
    """The factor lies in here eight times in ten."""


@dataclass(frozen=True)
class Learnt:
    """Measured occurrences of one kind."""

    log: Values
    """Logarithms of their factors."""
    variance: Values
    """Of the errors of these."""
    age_days: Values
    """From their end to the start of the one to come."""


def expected(stated: float | None, learnt: Learnt) -> Expected:
    """Return what is expected of an occurrence for which the fleet file has the factor `stated` (none: unknown).

    Occurrences of a kind are log-normal around a factor of their own: normal with unknown mean and variance, whose
    predictive distribution is Student's t (Gelman et al., Bayesian Data Analysis, 3rd edition, section 3.3). Each
    counts by its age, and the less the larger its measurement error is against what occurrences differ by. A learnt
    fall is believed by n / (n + 1), since too low a forecast costs more; the interval does not lean that way.
    """
    count = len(learnt.log)
    if stated is None and not count:
        reach = math.exp(NINE_TENTHS * UNKNOWN_SIGMA)
        return Expected(1.0, "", UNKNOWN_SIGMA, (1 / reach, reach))
    prior, prior_log = (0.0, 0.0) if stated is None else (PRIOR_WEIGHT, math.log(stated))
    recent = 0.5 ** (learnt.age_days / HALF_LIFE_DAYS)
    weights = recent * KIND_SIGMA**2 / (KIND_SIGMA**2 + learnt.variance)
    weight = prior + float(weights.sum())
    log = (prior * prior_log + float(weights @ learnt.log)) / weight
    squares = prior * (prior_log - log) ** 2 + float(weights @ (learnt.log - log) ** 2)
    # The prior and every occurrence is a degree of freedom; where the mean comes from them alone, it takes one.
    freedom = KIND_TRIALS + max(float(recent.sum()) + prior - 1.0, 0.0)
    variance = (KIND_TRIALS * KIND_SIGMA**2 + squares) / freedom
    reach = student_nine_tenths(freedom) * math.sqrt(variance * (1 + 1 / weight))
    believed = log if stated is not None or log >= 0 else log * weight / (weight + 1)
    return _around(log, believed, reach, _basis(stated, count))


def updated(before: Expected, log: float, variance: float, share: float) -> Expected:
    """Return what is expected of the rest of an occurrence of which `share` (0 to 1) is past, with effect `log`.

    The mean of both, weighted with their precisions; `variance` is that of the measurement's error.
    """
    error = variance + (1 - share) * PART_SIGMA**2
    weight = before.sigma**2 / (before.sigma**2 + error)
    middle = math.log(before.factor) * (1 - weight) + log * weight
    reach = NINE_TENTHS * before.sigma * math.sqrt(1 - weight)
    basis = f"{before.basis} and what was measured of it" if before.basis else "measured so far"
    return _around(middle, middle, reach, basis)


def _around(log: float, believed: float, reach: float, basis: str) -> Expected:
    factor = math.exp(believed)
    interval = min(math.exp(log - reach), factor), max(math.exp(log + reach), factor)
    return Expected(factor, basis, reach / NINE_TENTHS, interval)


def _basis(stated: float | None, count: int) -> str:
    times = f"{count} occurrence" + ("s" if count != 1 else "")
    if stated is None:
        return f"learnt from {times}"
    return f"fleet file and {times}" if count else "prior from fleet file"


def student_nine_tenths(freedom: float) -> float:
    """Return the 0.9 quantile of Student's t with `freedom` degrees, at least 2; wrong by 0.003 at most.

    Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    z = NINE_TENTHS
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**k for k, term in enumerate(terms, start=1))
