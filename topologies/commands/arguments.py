"""What the command takes: its words, their options, and help that shows an example of each."""

from __future__ import annotations

import argparse
from typing import Final

from treewarden.agents.core.path import ROOT
from treewarden.agents.version import VERSION

from .chaos_arguments import add_chaos
from .checkpoint_arguments import add_checkpoint
from .command_arguments import add_commands
from .journal_arguments import add_journal
from .parser import Parser
from .words import Words, add_deeds, add_json, add_word, count, journal, names, path, positive, seeds, text

__all__ = ["parser"]

_EPILOG: Final = """\
exit codes:
  0    ended in order            3    another process owns the journal
  1    the tree failed, a        70   an agent did not end within its grace
       journal is damaged, or
       a command was refused
  2    usage, or a file that     130  ended by force
       cannot be used
"""


def parser() -> argparse.ArgumentParser:
    """The parser of `treewarden`."""
    top = Parser(
        prog="treewarden",
        description="Runs many agents in one process and keeps them alive.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"treewarden {VERSION}")
    words = top.add_subparsers(dest="word", metavar="WORD", required=True)
    _run(words)
    _check(words)
    _tree(words)
    add_journal(words)
    add_checkpoint(words)
    _why(words)
    _trace(words)
    _label(words)
    _policy(words)
    _recovery(words)
    add_commands(words)
    add_chaos(words)
    return top


def _run(words: Words) -> None:
    word = add_word(
        words,
        "run",
        "run the tree that a TOML file describes",
        "treewarden run watchdog.toml --for 30",
        "The first Ctrl-C or SIGTERM stops it in order, a second one forces. SIGHUP, or a change of the file, reads "
        "it again; agents' code that is loaded stays as it is.",
    )
    word.add_argument("file", metavar="FILE.toml")
    word.add_argument(
        "--journal", type=journal, metavar="FILE.db", help="write this journal, not the one that the file names"
    )
    word.add_argument("--for", dest="seconds", type=positive, metavar="SECONDS", help="stop in order after that time")
    word.add_argument("--json", action="store_true", help="print every committed event as a line of JSON")
    word.add_argument("--plain", action="store_true", help="print plain lines on a terminal too")
    word.add_argument("--head", metavar="HEAD.jsonl", help="keep the head of the journal's chain in this file too")
    word.add_argument("--head-key", metavar="FILE", help="sign each head with the key in this file")
    word.add_argument("--head-every", type=positive, metavar="SECONDS", help="how often a head is kept (10)")
    word.add_argument(
        "--chaos", metavar="ORDER",
        help="inject faults: seed=7,kill=0.1/s,hang=2/m,slow=1/m,blast=pool/*,max=1,for=10m,promise=desk:holds",
    )  # fmt: skip
    word.add_argument("--no-reload", action="store_true", help="do not read the file again when it changes")


def _check(words: Words) -> None:
    word = add_word(
        words, "check", "say whether a TOML file is good, and show its tree", "treewarden check watchdog.toml",
        "Agents are imported, not started.",
    )  # fmt: skip
    word.add_argument("file", metavar="FILE.toml")
    add_json(word)


def _tree(words: Words) -> None:
    word = add_word(
        words, "tree", "show the tree of a journal, of a live process or a dead one", "treewarden tree watchdog.db",
        "It reads only.",
    )  # fmt: skip
    word.add_argument("file", metavar="FILE.db")
    word.add_argument("path", metavar="PATH", type=path, nargs="?", default=ROOT, help="a slot and what is below it")
    form = word.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--prometheus", action="store_true", help="print the numbers in Prometheus' text format")


def _why(words: Words) -> None:
    word = add_word(
        words,
        "why",
        "explain what was decided about a slot, and what came of it",
        "treewarden why watchdog.db pollers/api-7",
        "A supervisor's path shows all incidents below it; / is the whole tree. It reads only.",
    )
    word.add_argument("file", metavar="FILE.db")
    word.add_argument("path", metavar="PATH", type=path)
    word.add_argument("--last", type=count, default=10, metavar="N", help="at most N incidents (10)")
    most = word.add_mutually_exclusive_group()
    most.add_argument("--lines", type=count, default=200, metavar="N", help="the latest N events of each (200)")
    most.add_argument("--all", action="store_true", help="all events of each")
    add_json(word)


def _trace(words: Words) -> None:
    word = add_word(
        words, "trace", "show which message led to which, and what is left of each", "treewarden trace desk.db 8f3a-17",
        "A message that was handled leaves what it recorded, its effects, its failures and what it told. Of a live "
        "process or a dead one; it reads only.",
    )  # fmt: skip
    word.add_argument("file", metavar="FILE.db")
    word.add_argument(
        "id", metavar="ID", type=text, help="its name, or of any message of it, as `why` and `dead-letters` show it"
    )
    word.add_argument("--last", type=count, default=1000, metavar="N", help="the newest N events (1000)")
    add_json(word)


def _label(words: Words) -> None:
    word = add_word(
        words,
        "label",
        "say what an incident's cause was, or list the incidents without a label",
        "treewarden label watchdog.db 1.3 poison_message",
        "Confidence learns from labels only. The last label of an incident counts. A running tree is asked to write "
        "it; of a tree that does not run the journal is written.",
    )
    word.add_argument("file", metavar="FILE.db")
    word.add_argument("incident", metavar="INCIDENT", nargs="?", help="its number, as `why` shows it")
    word.add_argument("cause", metavar="CAUSE", nargs="?", help="as poison_message; a wrong one is told all there are")
    word.add_argument("--from", dest="lines", metavar="LABELS.jsonl", help="all labels of `treewarden chaos label`")
    word.add_argument("--by", metavar="NAME", help="who says so (you)")
    word.add_argument("--within", type=positive, default=30.0, metavar="SECONDS", help="how long it may take (30)")
    add_json(word)


def _policy(words: Words) -> None:
    word = add_word(words, "policy", "check the rules of a policy", "treewarden policy check desk.toml")
    add_deeds(word, _policy_check)


def _policy_check(deeds: Words) -> None:
    check = add_word(
        deeds,
        "check",
        "prove the rules of a file, and show for each an input that reaches it",
        "treewarden policy check desk.toml",
        "The file describes a tree, or holds nothing but rules. A table in which a rule is never reached, or answers "
        "a higher risk with less, is refused. Agents are imported, not started.",
    )
    check.set_defaults(word="policy")
    check.add_argument("file", metavar="FILE.toml", help="or module:name of a table in Python")
    add_json(check)


def _recovery(words: Words) -> None:
    word = add_word(
        words,
        "recovery",
        "race policies on seeded incidents and show what each costs",
        "treewarden recovery --seeds 0-3 --policies ladder,otp",
        "Each policy runs the real supervisor in simulated time, on the same incidents; docs/recovery-protocol.md "
        "says what is measured. The same seeds give the same output.",
    )
    word.add_argument("--worlds", metavar="FILE.toml", help="worlds of your own, not those that are shipped")
    word.add_argument("--world", action="append", metavar="NAME", help="only this one; may be repeated")
    word.add_argument("--seeds", type=seeds, default=seeds("0-3"), metavar="0-29", help="which seeds (0-3)")
    word.add_argument(
        "--policies", type=names, default=(), metavar="A,B", help="only these; also rules.toml, or module:name of yours"
    )
    word.add_argument("--jobs", type=count, metavar="N", help="races at a time (one for each core; 1 with --timing)")
    word.add_argument("--timing", action="store_true", help="measure how long decisions take, too")
    word.add_argument("--plot", metavar="FILE.svg", help="draw the reliability diagram")
    add_json(word)
