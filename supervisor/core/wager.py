"""Evidence that one forecaster does better than another, which may be looked at as often as one likes."""

from __future__ import annotations

from typing import Final

from treewarden.agents.core.values import frozen

__all__ = ["Wager"]

_STAKES: Final = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Shares of the capital that are bet on each gain. Their mean is never below a fifth of the best of them."""


@frozen
class Wager:
    """A bet that a gain is positive on average, with what has been won of it: an e-process.

    Where it is not (the expected gain, given the past, is never above 0), `value` is a supermartingale that begins at
    1, so the chance that it *ever* reaches 1/alpha is at most alpha, whoever looks at it and whenever (Ville 1939;
    testing by betting: Shafer 2021; for comparing forecasters by bounded scores: Choe and Ramdas 2023). Several stakes
    are bet side by side, and their mean counts, so that nothing has to be tuned.

    Not promised: that a real difference is found soon. A small one takes hundreds of gains.
    """

    capitals: tuple[float, ...] = (1.0,) * len(_STAKES)

    @property
    def value(self) -> float:
        """What 1 has become. 20 is what happens by chance in one of 20 cases at most."""
        return sum(self.capitals) / len(self.capitals)

    def after(self, gain: float) -> Wager:
        """After one more gain, from -1 to 1. Raises `ValueError` for any other."""
        if not -1.0 <= gain <= 1.0:
            raise ValueError(f"a gain is {gain!r}; it must be from -1 to 1")
        won = [capital * (1.0 + stake * gain) for capital, stake in zip(self.capitals, _STAKES, strict=True)]
        return Wager(tuple(min(each, _MOST) for each in won))


_MOST: Final = 1e12
"""More says nothing more."""
