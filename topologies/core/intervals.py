"""What a number of runs says about all the runs that were not made: counts with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean, stdev
from typing import Final

__all__ = ["clopper_pearson", "of_mean", "said"]

_T: Final = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""Student's t for 95 % and 1 to 30 degrees of freedom."""


def of_mean(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of the mean of independent values, by Student's t; None for fewer than two."""
    if len(values) < 2:
        return None
    freedom = len(values) - 1
    t = _T[freedom - 1] if freedom <= len(_T) else 1.96
    half = t * stdev(values) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


def clopper_pearson(hits: int, runs: int, *, level: float = 0.95) -> tuple[float, float]:
    """The exact interval for a share of which `hits` of `runs` were seen; with no hits its end is the rule of three.

    Source: Clopper and Pearson, Biometrika 26 (1934). One-sided where nothing or everything was hit, as is usual for
    "at most". Raises `ValueError` for numbers that cannot be counts.
    """
    if not 0 <= hits <= runs or runs < 1:
        raise ValueError(f"{hits} of {runs} is no count")
    miss = 1.0 - level
    if hits == 0:
        return 0.0, 1.0 - miss ** (1.0 / runs)
    if hits == runs:
        return miss ** (1.0 / runs), 1.0
    low = _solved(lambda p: 1.0 - _at_most(hits - 1, runs, p), miss / 2)
    high = _solved(lambda p: -_at_most(hits, runs, p), -miss / 2)
    return low, high


def said(hits: int, runs: int) -> str:
    """`0 of 500, at most 0.6 % at 95 %`."""
    if not runs:
        return "0 of 0"
    low, high = clopper_pearson(hits, runs)
    if hits == 0:
        return f"0 of {runs}, at most {_percent(high)} at 95 %"
    if hits == runs:
        return f"{hits} of {runs}, at least {_percent(low)} at 95 %"
    return f"{hits} of {runs}, {_percent(low)} to {_percent(high)} at 95 %"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.4g} %"


def _at_most(hits: int, runs: int, p: float) -> float:
    """P(at most so many hits), summed in logarithms so that large counts do not overflow."""
    if p <= 0.0:
        return 1.0
    if p >= 1.0:
        return 0.0 if hits < runs else 1.0
    logs = [
        math.lgamma(runs + 1) - math.lgamma(k + 1) - math.lgamma(runs - k + 1) + k * math.log(p)
        + (runs - k) * math.log1p(-p)
        for k in range(hits + 1)
    ]  # fmt: skip
    most = max(logs)
    return min(1.0, math.exp(most) * sum(math.exp(each - most) for each in logs))


def _solved(rising: Callable[[float], float], value: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if rising(middle) < value:
            low = middle
        else:
            high = middle
    return (low + high) / 2
