"""Evidence that one forecaster does better than another, which may be looked at as often as one likes."""

from __future__ import annotations

from typing import Final

from treewarden.agents.core.values import frozen

__all__ = ["Wager"]

_STAKES: Final = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Shares of the capital that are bet on each gain. Their mean is never below a fifth of the best of them."""
_AT_FIRST: Final = 0.8
"""How much of the capital is bet from the first gain on; the rest follows, at each gain the less of it."""
_MOST: Final = 1e12
"""More says nothing more."""


@frozen
class Wager:
    """A bet that a gain is positive on average, with what has been won of it: an e-process.

    Where it is not (the expected gain, given the past, is never above 0), `value` is a supermartingale that begins at
    1, so the chance that it *ever* reaches 1/alpha is at most alpha, whoever looks at it and whenever (Ville 1939;
    testing by betting: Shafer 2021; for comparing forecasters by bounded scores: Choe and Ramdas 2023). Several stakes
    are bet side by side, and their mean counts, so that nothing has to be tuned.

    What turns is found as well: a bet that has lost a thousand times is worth nothing any more, and would have to win
    as often. So a fifth of the capital is held back, and with the nth gain a bet on those from there on begins with
    1/(n(n - 1)) of it. Such shares add up to 1 at most, so all of it is a supermartingale too (bets that begin at each
    time: Shin, Ramdas and Rinaldo 2024). What turns after a thousand gains takes some four times what a new wager
    would.

    Not promised: that a real difference is found soon. A small one takes hundreds of gains.
    """

    capitals: tuple[float, ...] = (0.0,) * len(_STAKES)
    """What is bet, by stake."""
    held: float = 1.0
    """What is not bet yet."""
    gains: int = 0
    """How many there have been."""

    @property
    def value(self) -> float:
        """What 1 has become. 20 is what happens by chance in one of 20 cases at most."""
        return self.held + sum(self.capitals) / len(self.capitals)

    def after(self, gain: float) -> Wager:
        """After one more gain, from -1 to 1. Raises `ValueError` for any other."""
        if not -1.0 <= gain <= 1.0:
            raise ValueError(f"a gain is {gain!r}; it must be from -1 to 1")
        number = self.gains + 1
        fresh = _AT_FIRST if number == 1 else (1.0 - _AT_FIRST) / (number * (number - 1))
        bets = zip(self.capitals, _STAKES, strict=True)
        won = tuple(min((capital + fresh) * (1.0 + stake * gain), _MOST) for capital, stake in bets)
        return Wager(won, max(0.0, self.held - fresh), number)
