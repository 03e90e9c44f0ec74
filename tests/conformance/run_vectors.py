"""Runs a file of vectors against the real supervisor: `python tests/conformance/run_vectors.py FILE.json`.

Prints what differs from OTP, and closes each file with `N passed, M failed`. Exits 0 if nothing failed, 1 if something
did (a vector that is none counts as failed) or if there was nothing to run, 2 for a file that holds no vectors.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from otp_driver import run
from otpvec import Vector, canonical, compare, load

from treewarden.agents.core.exit import alone

__all__ = ["differences", "main"]


def differences(vector: Vector, seed: int = 0, *, traced: bool = True) -> list[str]:
    """What is different from OTP when this vector is run; a run that breaks down is one difference."""
    if vector.fault:
        return [f"{vector.fault} (FORMAT.md says what each field is)"]
    try:
        return compare(vector, run(vector, seed))
    except Exception as error:
        cause = alone(error)
        place = "".join(f" {note}" for note in getattr(cause, "__notes__", ()))
        shown = f"\n{''.join(traceback.format_exception(error))}" if traced else "; --verbose shows where"
        return [f"the run broke down{place}: {type(cause).__name__}: {cause}{shown}"]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="run_vectors.py", description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE.json", help="the vectors, format 1")
    parser.add_argument("--only", action="append", metavar="NAME", help="only this vector; may be repeated")
    parser.add_argument(
        "--verbose", action="store_true", help="print every name, where a run broke down, and with --only the trace"
    )
    parser.add_argument("--seed", type=int, default=0, help="for the spread of delays (0)")
    options = parser.parse_args(arguments)
    try:
        files = [load(file) for file in options.files]
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if options.only:
        unknown = set(options.only) - {vector.name for vectors in files for vector in vectors}
        if unknown:
            print(f"no vector is called {', '.join(sorted(unknown))}", file=sys.stderr)
        files = [[vector for vector in vectors if vector.name in options.only] for vectors in files]
    files = list(filter(None, files)) or [[]]
    failed = [_play(vectors, options) for vectors in files]
    return 1 if any(failed) or not files[0] else 0


def _play(vectors: Sequence[Vector], options: argparse.Namespace) -> int:
    """Run the vectors of one file, and close with their count; how many failed."""
    failed = 0
    for vector in vectors:
        found = differences(vector, options.seed, traced=options.verbose)
        failed += bool(found)
        if found or options.verbose:
            print(f"{'FAILED' if found else 'passed'} {vector.name} [{' '.join(vector.tags)}]")
        for difference in found:
            print(f"  {difference}")
        if options.verbose and options.only and not vector.fault:
            with suppress(Exception):  # told above
                _show(vector, options.seed)
    print(f"{len(vectors) - failed} passed, {failed} failed")
    return failed


def _show(vector: Vector, seed: int) -> None:
    flat = run(vector, seed)
    for step, got in zip(vector.scenario["steps"], canonical(vector.scenario, flat), strict=False):
        print(f"  {json.dumps(step)}\n    {json.dumps(got, sort_keys=True)}")


if __name__ == "__main__":
    sys.exit(main())
