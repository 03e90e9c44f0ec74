"""What `treewarden chaos` takes."""

from __future__ import annotations

import argparse

from treewarden.agents.core.path import ROOT

from .command_arguments import add_answered
from .words import Words, add_deeds, add_word, count, positive

__all__ = ["add_chaos"]


def add_chaos(words: Words) -> None:
    """Add the word `chaos` with its own words."""
    word = add_word(
        words,
        "chaos",
        "run trees in worlds that a seed decides about",
        "treewarden chaos run desk.toml --seeds 100",
        "TOPOLOGY is FILE.toml, module:function (a test of a world), module:name (a blueprint), or own:NAME.",
    )
    add_deeds(word, _run, _sweep, _label, _replay, _shrink, _own, _sabotage, _stop)


def _deed(deeds: Words, name: str, help: str, example: str) -> argparse.ArgumentParser:
    deed = add_word(deeds, name, help, f"treewarden chaos {name} {example}")
    deed.set_defaults(word="chaos")
    return deed


def _topology(deed: argparse.ArgumentParser) -> None:
    deed.add_argument("topology", metavar="TOPOLOGY", help="FILE.toml, module:name or own:NAME")
    deed.add_argument("--within", type=positive, default=10.0, metavar="SECONDS", help="how long faults come (10)")


def _seeds(deed: argparse.ArgumentParser, default: int) -> None:
    deed.add_argument("--seeds", type=count, default=default, metavar="N", help=f"how many ({default})")
    deed.add_argument("--first", type=count, default=1, metavar="SEED", help="the first one (1)")


def _faults(deed: argparse.ArgumentParser) -> None:
    deed.add_argument("--faults", default="kill,crash", metavar="NAMES", help="which ones, or all (kill,crash)")


def _run(deeds: Words) -> None:
    deed = _deed(deeds, "run", "run a topology under many seeds, until one fails", "desk.toml --faults kill,crash")
    _topology(deed)
    _seeds(deed, 100)
    _faults(deed)
    deed.add_argument("--report", metavar="FILE.html", help="write a page, and its data as FILE.html.json")
    deed.add_argument(
        "--arms", action="store_true", help="also without faults, and as a naive runner; in a report always"
    )


def _sweep(deeds: Words) -> None:
    deed = _deed(deeds, "sweep", "kill at every yield, commit and effect, one at a time", "own:pool/shared/message")
    _topology(deed)
    deed.add_argument("--pairs", type=count, default=0, metavar="N", help="then at so many pairs of places")


def _label(deeds: Words) -> None:
    deed = _deed(deeds, "label", "print incidents with their causes, as lines of JSON to learn from", "desk.toml")
    _topology(deed)
    _seeds(deed, 10)
    _faults(deed)


def _replay(deeds: Words) -> None:
    deed = _deed(deeds, "replay", "run once more what has failed", "tw1:eNqL...")
    deed.add_argument("string", metavar="STRING", help="as the failing run printed it")
    deed.add_argument("--trace", action="store_true", help="print the last records of its trace")


def _shrink(deeds: Words) -> None:
    deed = _deed(deeds, "shrink", "make a failing run smaller", "tw1:eNqL...")
    deed.add_argument("string", metavar="STRING", help="as the failing run printed it")
    deed.add_argument("--most", type=count, default=500, metavar="N", help="at most so many runs (500)")


def _own(deeds: Words) -> None:
    deed = _deed(deeds, "own", "run treewarden's own trees: each shape, strategy and durability", "--seeds 10000")
    _seeds(deed, 200)
    deed.add_argument("--sweep", choices=("all", "small", "none"), default="small", help="which are swept (small)")
    deed.add_argument("--hashes", action="store_true", help="only print the hash of each run's trace")


def _sabotage(deeds: Words) -> None:
    deed = _deed(deeds, "sabotage", "break things on purpose, and see that somebody notices", "test_shop:test_shop")
    deed.add_argument(
        "topology", metavar="TOPOLOGY", nargs="?", help="its handlers; without, treewarden and its own trees"
    )
    deed.add_argument("--within", type=positive, default=10.0, metavar="SECONDS", help="how long faults come (10)")
    _faults(deed)
    deed.add_argument("--whole", action="store_true", help="the handlers of more of treewarden's own trees")
    deed.add_argument("--most", type=count, default=60, metavar="N", help="at most so many runs for each mutant (60)")
    deed.add_argument("--only", metavar="NAME", help="this mutant, in this process")


def _stop(deeds: Words) -> None:
    deed = _deed(deeds, "stop", "end the chaos in a running tree (`treewarden run --chaos`) at once", "desk.db")
    deed.add_argument("file", metavar="FILE.db")
    deed.set_defaults(path=ROOT)
    add_answered(deed)
