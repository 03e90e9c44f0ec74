"""Cuts the power at every moment of some small workloads: `python -m tests.crash.explorer.run --states 20000`.

Explores that many states of the disk and prints what is wrong with them, then does the same to journals that are wrong
by intention. Closes with `n states, 0 violations` and `n of n mutants caught`, and exits 0 only if it is so.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final, TextIO

from treewarden.agents.core.said import plural

from .adapter import Connection
from .explore import Explorer, Outcome
from .mutants import MUTANTS, Mutant
from .vfs import Vfs, mounted

__all__ = ["PATIENCE", "catch", "main"]

_ROUND: Final = 20_000
"""States to explore of one seed's workloads; then come those of the next."""
PATIENCE: Final = 5_000
"""States within which a mutant has to be caught."""


def catch(vfs: Vfs, mutant: Mutant, seed: int, patience: int = PATIENCE) -> Outcome:
    """Explore `mutant` until it is seen to break what it has to break, or for `patience` states."""
    explorer = Explorer(
        vfs,
        seed,
        wrong=mutant.connection,
        lies=mutant.lies,
        assumed=mutant.assumed,
        cases=mutant.cases(seed),
        journal=mutant.journal,
    )
    return explorer.run(patience, lambda outcome: mutant.breaks in outcome.kinds)


def main(
    arguments: Sequence[str] | None = None,
    *,
    out: TextIO | None = None,
    wrong: type[Connection] = Connection,
    mutants: Sequence[Mutant] = MUTANTS,
    patience: int = PATIENCE,
) -> int:
    """The command. `wrong` is what the journal that should be right is connected through."""
    parser = argparse.ArgumentParser(prog="explorer", description=__doc__)
    parser.add_argument("--states", type=_positive, default=_ROUND, metavar="N", help=f"how many ({_ROUND})")
    parser.add_argument("--seed", type=int, default=0, help="other workloads, other states (0)")
    options = parser.parse_args(arguments)
    say = _Screen(sys.stdout if out is None else out)
    begin = time.perf_counter()
    with mounted() as vfs:
        states = violations = sites = reopened = 0
        while states < options.states:
            explorer = Explorer(vfs, options.seed + states // _ROUND, wrong=wrong)
            before, found = states, violations
            outcome = explorer.run(
                min(_ROUND, options.states - before),
                lambda so_far, before=before, found=found: say.progress(
                    before + so_far.states, options.states, found + so_far.violations, begin
                ),
            )
            states, violations = states + outcome.states, violations + outcome.violations
            sites, reopened = sites + outcome.sites, reopened + outcome.reopened
            for sighting in outcome.seen:
                say.line(str(sighting))
        caught = sum(_tell(say.line, mutant, catch(vfs, mutant, options.seed, patience)) for mutant in mutants)
    say.line(
        f"the power was cut at {sites} moments in {time.perf_counter() - begin:.0f} s; the real journal went on"
        f" {reopened} times; seed {options.seed}"
    )
    say.line(f"{states} states, {violations} violations")
    say.line(f"{caught} of {len(mutants)} mutants caught")
    return 0 if not violations and caught == len(mutants) else 1


def _tell(line: Callable[[str], None], mutant: Mutant, outcome: Outcome) -> bool:
    caught = mutant.breaks in outcome.kinds
    within = plural(outcome.states, "state")
    line(f"{'caught' if caught else 'NOT caught'} in {within}: {mutant.name} ({mutant.breaks})")
    return caught


class _Screen:
    """Lines, and one that tells how far it is: on a terminal written again and again, elsewhere now and then."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._terminal = out.isatty()
        self._every = 0.2 if self._terminal else 10.0
        self._next = time.perf_counter() + self._every

    def line(self, text: str) -> None:
        self._out.write(f"\r\x1b[K{text}\n" if self._terminal else f"{text}\n")
        self._out.flush()

    def progress(self, states: int, of: int, violations: int, begin: float) -> bool:
        """Says how far it is; always False, as there is no reason to stop."""
        now = time.perf_counter()
        if now >= self._next:
            self._next = now + self._every
            rate = states / max(now - begin, 0.001)
            text = f"{states} of {of} states, {rate:.0f}/s, {violations} violations"
            self._out.write(f"\r\x1b[K{text}" if self._terminal else f"{text}\n")
            self._out.flush()
        return False


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} states are too few: 1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
