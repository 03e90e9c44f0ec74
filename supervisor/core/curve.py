"""How far a stated probability may be believed: the curve of what such numbers have come to, learned case by case."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, TypeAlias

__all__ = ["NOTHING", "Curve", "curve_of", "faded", "mapped", "seen"]

Curve: TypeAlias = tuple[float, float, float, float, float, float, float, float, float]
"""What is known of the three numbers of a curve, `up`, `slope` and `vain`: the precisions (of `up`, of it with `slope`,
of it with `vain`, of `slope`, of it with `vain`, of `vain`), and precision times mean of each (the information form of
a normal distribution, in which to forget is to scale)."""

# A number p of the belief's comes to sigmoid(up + slope * logit p + vain * failures + more), a logistic regression that
# begins with what was found elsewhere (Platt 1999). Races on seeds 0 to 99 showed about which curve to begin with and
# how far worlds are from it: that numbers beyond _SURE are worth no more than it; that what has failed often fails more
# often than the belief says, in some worlds much more; and that what does more than start again is better than it says.
_SURE: Final = (0.1, 0.74)
_UP: Final = (0.3, 0.45)
_SLOPE: Final = (0.78, 0.45)
_VAIN: Final = (-0.3, 0.42)
"""The mean, and how far from it worlds are (a standard deviation)."""
_MORE: Final = 0.55
_MOST: Final = 4
"""Failures of which each makes a difference, as half a `vain`."""
_COUNTS_AS: Final = 0.6
"""Cases that one outcome counts as: those of one fault are alike."""
_BLUR: Final = math.pi / 8.0


def _known(*numbers: tuple[float, float]) -> Curve:
    (up, slope, vain) = (deviation**-2 for _, deviation in numbers)
    to_up, to_slope, to_vain = (mean * deviation**-2 for mean, deviation in numbers)
    return up, 0.0, 0.0, slope, 0.0, vain, to_up, to_slope, to_vain


NOTHING: Final = _known(_UP, _SLOPE, _VAIN)
"""Nothing was observed."""


def mapped(curve: Curve, p: float, failed: int = 0, *, more: bool = False) -> float:
    """What a number `p` of the belief's has come to: between 0 and 1, and nearer to the middle where less is known.

    `failed` attempts of the incident came before; with `more` the action does more than start anew what has ended. The
    mean over all curves, each as likely as it is (MacKay 1992, in the closed form of his that is nearly right).
    """
    z, blur, _, _ = _read(curve, p, failed)
    return _sigmoid((z + _MORE * more) / blur)


def seen(curve: Curve, p: float, fixed: bool, failed: int = 0, *, more: bool = False) -> Curve:
    """With one more case: the belief's own number was `p`, and it came true or not.

    One step of an online logistic regression (Spiegelhalter and Lauritzen 1990): nothing is stored but nine numbers.
    """
    z, blur, x, vain = _read(curve, p, failed)
    q = _sigmoid((z + _MORE * more) / blur)
    weight = _COUNTS_AS * q * (1.0 - q)
    pull = weight * z + _COUNTS_AS * (fixed - q)
    aa, ab, av, bb, bv, vv, to_up, to_slope, to_vain = curve
    return (
        aa + weight, ab + weight * x, av + weight * vain, bb + weight * x * x, bv + weight * x * vain,
        vv + weight * vain * vain, to_up + pull, to_slope + pull * x, to_vain + pull * vain,
    )  # fmt: skip


def faded(curve: Curve, share: float) -> Curve:
    """As if each case were only this share of one."""
    aa, ab, av, bb, bv, vv, to_up, to_slope, to_vain = curve
    a, b, c, d, e, f, g, h, i = NOTHING
    return (
        a + share * (aa - a), b + share * (ab - b), c + share * (av - c), d + share * (bb - d), e + share * (bv - e),
        f + share * (vv - f), g + share * (to_up - g), h + share * (to_slope - h), i + share * (to_vain - i),
    )  # fmt: skip


def curve_of(values: Sequence[float]) -> Curve:
    """As it was stored; `NOTHING` for what is no curve."""
    if len(values) != len(NOTHING) or not all(map(math.isfinite, values)):
        return NOTHING
    aa, ab, av, bb, bv, vv, to_up, to_slope, to_vain = map(float, values)
    cofactor = bb * vv - bv * bv
    whole = aa * cofactor + ab * (av * bv - ab * vv) + av * (ab * bv - av * bb)
    positive = vv > 0 and cofactor > 0 and whole > 0  # the corners of the matrix, by Sylvester's criterion
    return (aa, ab, av, bb, bv, vv, to_up, to_slope, to_vain) if positive else NOTHING


def _read(curve: Curve, p: float, failed: int) -> tuple[float, float, float, float]:
    """The logit that `p` is mapped to, how much it is blurred by what is not known, the logit of `p`, and how much
    `failed` failures weigh."""
    aa, ab, av, bb, bv, vv, to_up, to_slope, to_vain = curve
    p = min(_SURE[1], max(_SURE[0], p))
    x, vain = math.log(p / (1.0 - p)), 0.5 * min(_MOST, failed)
    with_up, with_vain, between = av * bv - ab * vv, ab * av - aa * bv, ab * bv - av * bb
    first = bb * vv - bv * bv
    whole = aa * first + ab * with_up + av * between
    by_up = first + with_up * x + between * vain
    by_slope = with_up + (aa * vv - av * av) * x + with_vain * vain
    by_vain = between + with_vain * x + (aa * bb - ab * ab) * vain
    z = (by_up * to_up + by_slope * to_slope + by_vain * to_vain) / whole
    return z, math.sqrt(1.0 + _BLUR * (by_up + by_slope * x + by_vain * vain) / whole), x, vain


def _sigmoid(z: float) -> float:
    return 1.0 / (1.0 + math.exp(-z)) if z >= 0 else 1.0 - 1.0 / (1.0 + math.exp(z))
