"""From a run that fails to the least of it that still does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import evolve, frozen

from .faults import Injection

__all__ = ["Reduced", "shrink"]


@frozen
class Reduced:
    """What is left of a failing run."""

    injections: tuple[Injection, ...]
    scale: float = 1.0
    """The share of the workload and of the tree's size that is left."""
    attempts: int = 0
    """Runs that it took."""


def shrink(start: Reduced, fails: Callable[[Reduced], bool], *, most: int = 120) -> Reduced:
    """Fewer faults, then less work and fewer children, then earlier faults, for as long as `fails` says yes.

    At most `most` runs. Not promised: that nothing smaller fails. Source of the first part: delta debugging (Zeller and
    Hildebrandt, IEEE TSE 28(2), 2002).
    """
    search = _Search(fails, most)
    best = search.fewer(start)
    best = search.smaller(best)
    best = search.fewer(best)
    best = search.earlier(best)
    return evolve(best, attempts=search.attempts)


class _Search:
    def __init__(self, fails: Callable[[Reduced], bool], most: int) -> None:
        self._fails = fails
        self._most = most
        self.attempts = 0

    def _still(self, candidate: Reduced) -> bool:
        if self.attempts >= self._most:
            return False
        self.attempts += 1
        return self._fails(candidate)

    def fewer(self, best: Reduced) -> Reduced:
        parts = 2
        while best.injections and self.attempts < self._most:
            size = max(1, len(best.injections) // parts)
            for cut in range(0, len(best.injections), size):
                left = (*best.injections[:cut], *best.injections[cut + size :])
                if self._still(evolve(best, injections=left)):
                    best = evolve(best, injections=left)
                    parts = max(2, parts - 1)
                    break
            else:
                if size == 1:
                    break
                parts = min(len(best.injections), parts * 2)
        return best

    def smaller(self, best: Reduced) -> Reduced:
        for scale in (0.05, 0.1, 0.25, 0.5):
            if scale < best.scale and self._still(evolve(best, scale=scale)):
                return evolve(best, scale=scale)
        return best

    def earlier(self, best: Reduced) -> Reduced:
        for share in (0.0, 0.1, 0.5):
            sooner = evolve(best, injections=_at(best.injections, share))
            if sooner != best and self._still(sooner):
                return sooner
        return best


def _at(injections: Sequence[Injection], share: float) -> tuple[Injection, ...]:
    return tuple(each if each.trigger is not None else each.earlier(share) for each in injections)
