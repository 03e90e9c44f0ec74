"""How far a stated probability may be believed: the curve of what such numbers have come to, learned case by case."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, TypeAlias

__all__ = ["NOTHING", "UNSEEN", "Curve", "Ease", "curve_of", "faded", "mapped", "seen"]

Curve: TypeAlias = tuple[float, float, float, float, float, float, float, float, float]
"""What is known of the three numbers of a curve, `up`, `slope` and `vain`: the precisions (of `up`, of it with `slope`,
of it with `vain`, of `slope`, of it with `vain`, of `vain`), and precision times mean of each (the information form of
a normal distribution, in which to forget is to scale)."""
Ease: TypeAlias = tuple[float, float]
"""What was seen of how much easier one kind of attempt is than others: the precision that it has added, and that times
the mean."""

# A number p of the belief's comes to sigmoid(up + slope * (logit p + head start) + vain * failures + ease), a logistic
# regression that begins with what was found elsewhere (Platt 1999), with an ease for each kind of attempt that is
# around 0 (a random effect). Races on seeds 0 to 99 showed about which curve to begin with and how far worlds are from
# it: that numbers beyond _SURE are worth no more than it; and that what has failed often fails more often than the
# belief says, in some worlds much more.
_SURE: Final = (0.2, 0.76)
_UP: Final = (0.42, 0.46)
_SLOPE: Final = (0.6, 0.46)
_VAIN: Final = (-0.35, 0.46)
"""The mean, and how far from it worlds are (a standard deviation)."""
_EASES: Final = 0.5**-2
"""The precision of an ease of which nothing was seen: they are half a logit from each other."""
_MOST: Final = 4
"""Failures of which each makes a difference, as half a `vain`."""
_BLUR: Final = math.pi / 8.0


def _known(*numbers: tuple[float, float]) -> Curve:
    (up, slope, vain) = (deviation**-2 for _, deviation in numbers)
    to_up, to_slope, to_vain = (mean * deviation**-2 for mean, deviation in numbers)
    return up, 0.0, 0.0, slope, 0.0, vain, to_up, to_slope, to_vain


NOTHING: Final = _known(_UP, _SLOPE, _VAIN)
"""Nothing was observed."""
UNSEEN: Final[Ease] = (0.0, 0.0)
"""Nothing was observed of this kind of attempt."""


def mapped(curve: Curve, p: float, failed: int = 0, *, start: float = 0.0, ease: Ease = UNSEEN) -> float:
    """What a number `p` of the belief's has come to: between 0 and 1, and nearer to the middle where less is known.

    `failed` attempts of the incident came before; `start` is the head start of such an attempt (`head_start`), `ease`
    what was seen of them. The mean over all curves, each as likely as it is (MacKay 1992, in the closed form of his
    that is nearly right).
    """
    z, spread, _, _ = _read(curve, p, failed, start)
    precision = _EASES + ease[0]
    return _sigmoid((z + ease[1] / precision) / math.sqrt(1.0 + _BLUR * (spread + 1.0 / precision)))


def seen(
    curve: Curve,
    p: float,
    fixed: bool,
    failed: int = 0,
    *,
    start: float = 0.0,
    ease: Ease = UNSEEN,
    counts: float = 1.0,
) -> tuple[Curve, Ease]:
    """With one more case: the belief's own number was `p`, and it came true or not. It `counts` as so many cases.

    One step of an online logistic regression (Spiegelhalter and Lauritzen 1990), in which the curve and the ease each
    take what the other leaves open for noise: nothing is stored but nine numbers, and two for each kind of attempt.
    """
    z, spread, x, vain = _read(curve, p, failed, start)
    precision = _EASES + ease[0]
    mean, open_still = ease[1] / precision, 1.0 / precision
    q = _sigmoid((z + mean) / math.sqrt(1.0 + _BLUR * (spread + open_still)))
    steep = max(q * (1.0 - q), 1e-6)
    surprise, noise = (fixed - q) / steep, 1.0 / (counts * steep)
    weight, own = 1.0 / (noise + open_still), 1.0 / (noise + spread)
    pull = weight * (z + surprise)
    aa, ab, av, bb, bv, vv, to_up, to_slope, to_vain = curve
    return (
        aa + weight, ab + weight * x, av + weight * vain, bb + weight * x * x, bv + weight * x * vain,
        vv + weight * vain * vain, to_up + pull, to_slope + pull * x, to_vain + pull * vain,
    ), (ease[0] + own, ease[1] + own * (mean + surprise))  # fmt: skip


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


def _read(curve: Curve, p: float, failed: int, start: float) -> tuple[float, float, float, float]:
    """The logit that `p` is mapped to, the variance of what is not known of it, the logit of `p` with its head start,
    and how much `failed` failures weigh."""
    aa, ab, av, bb, bv, vv, to_up, to_slope, to_vain = curve
    low, high = _SURE
    p = p if low < p < high else high if p >= high else low
    x, vain = math.log(p / (1.0 - p)) + start, 0.5 * (failed if failed < _MOST else _MOST)
    with_up, with_vain, between = av * bv - ab * vv, ab * av - aa * bv, ab * bv - av * bb
    first = bb * vv - bv * bv
    whole = aa * first + ab * with_up + av * between
    by_up = first + with_up * x + between * vain
    by_slope = with_up + (aa * vv - av * av) * x + with_vain * vain
    by_vain = between + with_vain * x + (aa * bb - ab * ab) * vain
    z = (by_up * to_up + by_slope * to_slope + by_vain * to_vain) / whole
    return z, (by_up + by_slope * x + by_vain * vain) / whole, x, vain


def _sigmoid(z: float) -> float:
    return 1.0 / (1.0 + math.exp(-z)) if z >= 0 else 1.0 - 1.0 / (1.0 + math.exp(z))
