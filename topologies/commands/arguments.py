"""What the command takes: its words, their options, and help that shows an example of each."""

from __future__ import annotations

import argparse
import difflib
import math
from importlib.metadata import version
from typing import Any, Final, NoReturn, Protocol

from treewarden.agents.core.path import Path
from treewarden.supervisor.core.event import EVENTS

__all__ = ["parser"]

_EPILOG: Final = """\
exit codes:
  0    ended in order            3    another process owns the journal
  1    the tree failed           70   an agent did not end within its grace
  2    usage, or a bad TOML      130  ended by force
"""
_MOST_SEEDS: Final = 10_000


def parser() -> argparse.ArgumentParser:
    """The parser of `treewarden`."""
    top = argparse.ArgumentParser(
        prog="treewarden",
        description="Runs many agents in one process and keeps them alive.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"treewarden {version('treewarden')}")
    words = top.add_subparsers(dest="word", metavar="WORD", required=True)
    _run(words)
    _check(words)
    _tree(words)
    _journal(words)
    _why(words)
    _recovery(words)
    return top


class _Words(Protocol):
    def add_parser(self, name: str, **options: Any) -> argparse.ArgumentParser: ...


def _word(words: _Words, name: str, help: str, example: str, text: str = "") -> argparse.ArgumentParser:
    word = words.add_parser(
        name,
        help=help,
        description=f"{help[0].upper()}{help[1:]}.{' ' + text if text else ''}",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    word.set_defaults(word=name)
    return word


def _run(words: _Words) -> None:
    word = _word(
        words,
        "run",
        "run the tree that a TOML file describes",
        "treewarden run watchdog.toml --for 30",
        "The first Ctrl-C or SIGTERM stops it in order, a second one\nforces. SIGHUP, or a change of the file, reads "
        "it again; agents' code that is\nloaded stays as it is.",
    )
    word.add_argument("file", metavar="FILE.toml")
    word.add_argument("--journal", metavar="FILE.db", help="write this journal, not the one that the file names")
    word.add_argument("--for", dest="seconds", type=_positive, metavar="SECONDS", help="stop in order after that time")
    word.add_argument("--json", action="store_true", help="print every committed event as a line of JSON")
    word.add_argument("--plain", action="store_true", help="print plain lines on a terminal too")
    word.add_argument("--no-reload", action="store_true", help="do not read the file again when it changes")


def _check(words: _Words) -> None:
    word = _word(
        words, "check", "say whether a TOML file is good, and show its tree", "treewarden check watchdog.toml",
        "Agents are imported, not started.",
    )  # fmt: skip
    word.add_argument("file", metavar="FILE.toml")
    _json(word)


def _tree(words: _Words) -> None:
    word = _word(
        words, "tree", "show the tree of a journal, of a live process or a dead one", "treewarden tree watchdog.db",
        "It reads only.",
    )  # fmt: skip
    word.add_argument("file", metavar="FILE.db")
    _json(word)


def _journal(words: _Words) -> None:
    word = _word(words, "journal", "read a journal's events", "treewarden journal show watchdog.db --last 20")
    deeds = word.add_subparsers(dest="deed", metavar="show", required=True)
    show = _word(
        deeds, "show", "print a journal's events", "treewarden journal show watchdog.db --follow --path pollers",
        "It reads only.",
    )  # fmt: skip
    show.set_defaults(word="journal")
    show.add_argument("file", metavar="FILE.db")
    show.add_argument("--follow", action="store_true", help="go on with new events, until Ctrl-C")
    show.add_argument("--path", type=_path, metavar="PATH", help="only this slot and those below it")
    show.add_argument(
        "--kind", type=_kind, action="append", metavar="KIND", help="only these, as ChildEnded; may be repeated"
    )
    show.add_argument("--last", type=_count, metavar="N", help="only the last N")
    show.add_argument("--since", type=_positive, metavar="SECONDS", help="only those of the last SECONDS")
    _json(show)


def _why(words: _Words) -> None:
    word = _word(
        words,
        "why",
        "explain what was decided about a slot, and what came of it",
        "treewarden why watchdog.db pollers/api-7",
        "A supervisor's path shows\nall incidents below it; / is the whole tree. It reads only.",
    )
    word.add_argument("file", metavar="FILE.db")
    word.add_argument("path", metavar="PATH", type=_path)
    word.add_argument("--last", type=_count, default=10, metavar="N", help="at most N incidents (10)")
    _json(word)


def _recovery(words: _Words) -> None:
    word = _word(
        words,
        "recovery",
        "race policies on seeded incidents and show what each costs",
        "treewarden recovery --seeds 0-3 --policies ladder,otp",
        "Each policy runs the\nreal supervisor in simulated time, on the same incidents; docs/recovery-protocol.md "
        "says\nwhat is measured. The same seeds give the same output.",
    )
    word.add_argument("--worlds", metavar="FILE.toml", help="worlds of your own, not those that are shipped")
    word.add_argument("--world", action="append", metavar="NAME", help="only this one; may be repeated")
    word.add_argument("--seeds", type=_seeds, default=_seeds("0-3"), metavar="0-29", help="which seeds (0-3)")
    word.add_argument("--policies", type=_names, default=(), metavar="A,B", help="only these policies")
    word.add_argument("--timing", action="store_true", help="measure how long decisions take, too")
    word.add_argument("--plot", metavar="FILE.svg", help="draw the reliability diagram")
    _json(word)


def _json(word: argparse.ArgumentParser) -> None:
    word.add_argument("--json", action="store_true", help="print JSON")


def _refuse(text: str) -> NoReturn:
    raise argparse.ArgumentTypeError(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        _refuse(f"{text!r} is no number of seconds")
    return value if 0 < value < math.inf else _refuse(f"{text} is no time to wait; give a positive number of seconds")


def _count(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        _refuse(f"{text!r} is no whole number")
    return value if value > 0 else _refuse(f"{text} is too few; give 1 or more")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in (part.strip() for part in text.split(",")) if name)


def _seeds(text: str) -> tuple[int, ...]:
    """`0-3,7` is 0, 1, 2, 3 and 7."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()) or len(first + last) > 12:
            _refuse(f"{text!r} is no list of seeds; write 0-29 or 0,3,7")
        low, high = int(first), int(last or first)
        if low > high or high - low >= _MOST_SEEDS:
            _refuse(
                f"{part.strip()!r} is no range of seeds; the first comes first, and there are {_MOST_SEEDS} at most"
            )
        found += range(low, high + 1)
    return tuple(dict.fromkeys(found))


def _path(text: str) -> Path:
    try:
        return Path.parse(text)
    except ValueError as error:
        _refuse(str(error))


def _kind(text: str) -> str:
    known = {kind.lower(): kind for kind in EVENTS}
    if text.lower() in known:
        return known[text.lower()]
    near = [known[word] for word in difflib.get_close_matches(text.lower(), known, n=5, cutoff=0.5)]
    _refuse(f"there is no event {text!r}; there is {', '.join(near or sorted(EVENTS))}")
