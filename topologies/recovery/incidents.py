"""What will go wrong, drawn before anybody decides anything: the same for every policy."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

from attrs import evolve, frozen

from .world import CIRCUMSTANCES, DAY, REPAIRS, SIGNS, Nature, Spread, World

__all__ = ["Trouble", "draw"]

KEEPS_FACE = 0.8
"""How often a failure shows as the one before it did, although the cause could show otherwise."""


@frozen(kw_only=True)
class Trouble:
    """One incident: its hidden cause, and every chance in it."""

    place: int
    """Its number in the run, from 0."""
    cause: str
    nature: Nature
    seed: str
    circumstances: frozenset[str]
    lasts: float
    """Seconds after which what is outside ends by itself; infinite for all else."""
    person: float
    """Seconds that a person takes, once called."""

    def helps(self, action: str, nth: int) -> bool:
        """Whether the nth try of an action ends it: the same answer for every policy."""
        return self._chance(f"{action}/{nth}") < self.nature.repairs.get(action, 0.02)

    def first_help(self, action: str, most: int) -> int:
        """Which try of an action, from 1, is the first that helps; `most` if none before that does."""
        return next((n for n in range(1, most) if self.helps(action, n)), most)

    def sign(self, nth: int) -> str:
        """How its nth failure shows, from 0. Failures of one incident mostly look alike."""
        while nth and self._chance(f"same/{nth}") < KEEPS_FACE:
            nth -= 1
        chance, total = self._chance(f"sign/{nth}"), 0.0
        for sign, share in self.nature.shows.items():
            total += share
            if chance < total:
                return sign
        return list(self.nature.shows)[-1]

    def _chance(self, what: str) -> float:
        return random.Random(f"{self.seed}/{what}").random()


def draw(world: World, seed: int) -> tuple[Trouble, ...]:
    """The incidents of a world under a seed."""
    rng = random.Random(f"{world.name}/{seed}")
    causes = _pulled(world.causes, world.jitter, random.Random(f"{world.name}/{seed}/jitter"))
    later = causes
    if world.later is not world.causes:
        later = _pulled(world.later, world.jitter, random.Random(f"{world.name}/{seed}/jitter"))
    troubles: list[Trouble] = []
    for place in range(world.incidents):
        natures = later if 2 * place >= world.incidents else causes
        (cause,) = rng.choices(list(natures), [nature.share for nature in natures.values()])
        nature = natures[cause]
        with_it = frozenset(name for name in CIRCUMSTANCES if rng.random() < nature.comes_with.get(name, 0.0))
        outside, person = rng.gauss(0, 1), rng.gauss(0, 1)
        troubles.append(
            Trouble(
                place=place,
                cause=cause,
                nature=nature,
                seed=f"{world.name}/{seed}/{place}",
                circumstances=with_it,
                lasts=_time(nature.lasts, outside) if nature.lasts is not None else math.inf,
                person=_time(world.person, person),
            )
        )
    return tuple(troubles)


def _time(spread: Spread, deviation: float) -> float:
    return min(DAY, spread.median * math.exp(spread.sigma * deviation))


def _pulled(causes: Mapping[str, Nature], jitter: float, rng: random.Random) -> dict[str, Nature]:
    """Every number pulled towards a random one: how it shows towards a Dirichlet draw, the rest towards uniform ones.

    Repairs move by 0.6 of that, and those that hardly help stay below a quarter: a world in which everything helps
    against everything would say nothing.
    """
    return {cause: _nature_pulled(nature, jitter, rng) for cause, nature in causes.items()}


def _nature_pulled(nature: Nature, jitter: float, rng: random.Random) -> Nature:
    draws = {sign: rng.gammavariate(0.6, 1.0) for sign in SIGNS}
    total = sum(draws.values())
    shows = {
        sign: (1 - jitter) * nature.shows.get(sign, 0.0) + jitter * draws[sign] / total
        for sign in SIGNS
        if sign in nature.shows or jitter
    }
    comes_with = {
        name: (1 - jitter) * nature.comes_with.get(name, 0.0) + jitter * rng.random() for name in CIRCUMSTANCES
    }
    step, repairs = 0.6 * jitter, dict[str, float]()
    for action in REPAIRS:
        p, towards = nature.repairs.get(action, 0.02), rng.random()
        if not nature.repairs:
            continue
        repairs[action] = (1 - step) * p + step * (towards if p > 0.2 else 0.25 * towards)
    return evolve(nature, shows=shows, comes_with=comes_with, repairs=repairs)
