"""What `treewarden checkpoint` takes: its deeds and their options."""

from __future__ import annotations

import argparse

from treewarden.agents.core.path import ROOT

from .command_arguments import add_keep
from .words import Words, add_deeds, add_json, add_word, count, path, positive, text

__all__ = ["add_checkpoint"]

_WHICH = "CHECKPOINT is a number, a name (the newest of that name), or `current`."


def add_checkpoint(words: Words) -> None:
    """Declare the word and its deeds."""
    word = add_word(
        words, "checkpoint", "keep states, and look at those that are kept", "treewarden checkpoint list desk.db writer"
    )
    add_deeds(word, _list, _search, _show, _diff, add_keep)


def _list(deeds: Words) -> None:
    word = _deed(deeds, "list", "list the checkpoints of an agent, or of all below a path", "list desk.db writer")
    word.add_argument("path", metavar="PATH", type=path)
    word.add_argument("--last", type=count, default=20, metavar="N", help="at most N, the newest (20)")
    add_json(word)


def _search(deeds: Words) -> None:
    word = _deed(
        deeds, "search", "find checkpoints by what they are called", "search desk.db 'before the move' --tag good"
    )
    word.add_argument(
        "text", metavar="TEXT", type=text, nargs="?", default="", help="part of the name or the description"
    )
    word.add_argument("--path", type=path, default=ROOT, metavar="PATH", help="only this slot and those below it")
    word.add_argument("--name", type=text, metavar="NAME", help="exactly this name")
    word.add_argument(
        "--tag", type=text, action="append", default=[], metavar="TAG", help="may be repeated: all of them"
    )
    word.add_argument("--since", type=positive, metavar="SECONDS", help="only those of the last SECONDS")
    word.add_argument("--last", type=count, default=20, metavar="N", help="at most N, the newest (20)")
    add_json(word)


def _show(deeds: Words) -> None:
    word = _deed(deeds, "show", "print a state that is kept", "show desk.db writer 'before the move'", _WHICH)
    word.add_argument("path", metavar="PATH", type=path)
    word.add_argument("checkpoint", metavar="CHECKPOINT", type=text)
    _all(word, "states")
    add_json(word)


def _diff(deeds: Words) -> None:
    word = _deed(deeds, "diff", "print what differs between two states", "diff desk.db writer good current", _WHICH)
    word.add_argument("path", metavar="PATH", type=path)
    word.add_argument("before", metavar="CHECKPOINT", type=text)
    word.add_argument(
        "after", metavar="CHECKPOINT", type=text, nargs="?", default="current", help="without it, the current state"
    )
    _all(word, "differences")
    add_json(word)


def _all(word: argparse.ArgumentParser, what: str) -> None:
    word.add_argument("--all", action="store_true", help=f"print long {what} to their end, as --json does")


def _deed(deeds: Words, name: str, help: str, example: str, text: str = "") -> argparse.ArgumentParser:
    word = add_word(deeds, name, help, f"treewarden checkpoint {example}", f"{text} It reads only.")
    word.set_defaults(word="checkpoint")
    word.add_argument("file", metavar="FILE.db")
    return word
