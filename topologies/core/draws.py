"""Numbers by lot that depend on nothing but a seed and a name: the same on every Python, in every process."""

from __future__ import annotations

import hashlib
import math
from typing import Final

__all__ = ["Draws"]

_RANGE: Final = float(2**53)


class Draws:
    """A row of draws. Two rows of one seed with different names have nothing to do with each other.

    Not promised: that anything about them is hard to guess.
    """

    def __init__(self, seed: int, *names: object) -> None:
        self._key = "\0".join(map(str, (seed, *names))).encode()
        self._n = 0

    def share(self) -> float:
        """From 0 to 1, without 1."""
        self._n += 1
        digest = hashlib.blake2b(self._n.to_bytes(8, "big"), key=self._key[:64], digest_size=8, salt=self._salt)
        return (int.from_bytes(digest.digest(), "big") >> 11) / _RANGE

    def below(self, bound: int) -> int:
        """A whole number from 0 to `bound`, without `bound`."""
        return int(self.share() * bound)

    def gap(self, rate: float) -> float:
        """Seconds to the next of what comes `rate` times a second, independently of each other (a Poisson process)."""
        return round(-math.log(1.0 - self.share()) / rate, 6)

    @property
    def _salt(self) -> bytes:
        """What is left of a long name, which a key has no room for."""
        return hashlib.blake2b(self._key[64:], digest_size=16).digest() if len(self._key) > 64 else b""
