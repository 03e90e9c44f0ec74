"""How far a stated probability may be believed: the curve of what such numbers have come to, learned case by case."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, TypeAlias

__all__ = ["NOTHING", "Curve", "curve_of", "faded", "mapped", "seen"]

Curve: TypeAlias = tuple[float, float, float, float, float]
"""What is known of the two numbers of a curve, `up` and `slope`: the precision of `up`, of both and of `slope`, and
precision times mean of each (the information form of a normal distribution, in which to forget is to scale)."""

# A number p of the belief's comes to sigmoid(up + slope * logit p) (Platt 1999). Races on seeds 0 to 59 showed about
# which curve to begin with and how far worlds are from it, and that numbers beyond _SURE are worth no more than it.
_SURE: Final = (0.1, 0.74)
_UP: Final = (0.3, 0.65)
_SLOPE: Final = (0.68, 0.3)
"""The mean, and how far from it worlds are (a standard deviation)."""
_COUNTS_AS: Final = 0.7
"""Cases that one outcome counts as: those of one fault are alike."""
_BLUR: Final = math.pi / 8.0

NOTHING: Final[Curve] = (_UP[1] ** -2, 0.0, _SLOPE[1] ** -2, _UP[0] * _UP[1] ** -2, _SLOPE[0] * _SLOPE[1] ** -2)
"""Nothing was observed."""


def mapped(curve: Curve, p: float) -> float:
    """What a number `p` of the belief's has come to: between 0 and 1, and nearer to the middle where less is known.

    The mean over all curves, each as likely as it is (MacKay 1992, in the closed form of his that is nearly right).
    """
    z, blur, _ = _read(curve, p)
    return 1.0 / (1.0 + math.exp(-z / blur))


def seen(curve: Curve, p: float, fixed: bool) -> Curve:
    """With one more case: the belief's own number was `p`, and it came true or not.

    One step of an online logistic regression (Spiegelhalter and Lauritzen 1990): nothing is stored but five numbers.
    """
    z, blur, x = _read(curve, p)
    q = 1.0 / (1.0 + math.exp(-z / blur))
    weight = _COUNTS_AS * q * (1.0 - q)
    pull = weight * z + _COUNTS_AS * (fixed - q)
    up, both, slope, to_up, to_slope = curve
    return up + weight, both + weight * x, slope + weight * x * x, to_up + pull, to_slope + pull * x


def faded(curve: Curve, share: float) -> Curve:
    """As if each case were only this share of one."""
    up, both, slope, to_up, to_slope = curve
    a, b, c, d, e = NOTHING
    return (
        a + share * (up - a), b + share * (both - b), c + share * (slope - c),
        d + share * (to_up - d), e + share * (to_slope - e),
    )  # fmt: skip


def curve_of(values: Sequence[float]) -> Curve:
    """As it was stored; `NOTHING` for what is no curve."""
    if len(values) != len(NOTHING) or not all(map(math.isfinite, values)):
        return NOTHING
    up, both, slope, to_up, to_slope = map(float, values)
    return (up, both, slope, to_up, to_slope) if up > 0 and up * slope > both * both else NOTHING


def _read(curve: Curve, p: float) -> tuple[float, float, float]:
    """The logit that `p` is mapped to, how much it is blurred by what is not known, and the logit of `p`."""
    up, both, slope, to_up, to_slope = curve
    p = min(_SURE[1], max(_SURE[0], p))
    x = math.log(p / (1.0 - p))
    known = up * slope - both * both
    z = (slope * to_up - both * to_slope + (up * to_slope - both * to_up) * x) / known
    return z, math.sqrt(1.0 + _BLUR * (slope - 2.0 * both * x + up * x * x) / known), x
