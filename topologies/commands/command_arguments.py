"""What the words take that ask something of a running tree."""

from __future__ import annotations

import argparse

from treewarden.agents.core.path import ROOT

from .words import Words, add_json, add_word, count, path, positive, text

__all__ = ["COMMANDS", "add_answered", "add_commands", "add_keep"]

COMMANDS = (
    "send", "ask", "signal", "stop", "hold", "resume", "run-now", "effects", "answer", "waits", "approve", "refuse",
    "dead-letters", "replay", "perform", "drain", "roll-back",
)  # fmt: skip


def add_commands(words: Words) -> None:
    """Declare them all."""
    _send(words)
    _ask(words)
    _signal(words)
    _stop(words)
    _hold(words)
    _resume(words)
    _run_now(words)
    _effects(words)
    _answer(words)
    _waits(words)
    _approve(words)
    _refuse(words)
    _dead_letters(words)
    _replay(words)
    _perform(words)
    _drain(words)
    _roll_back(words)


def _send(words: Words) -> None:
    word = add_word(
        words, "send", "tell an agent of a running tree a message",
        "treewarden send desk.db writer Letter '{\"text\": \"hello\"}'",
        "KIND is a class that the agent handles, the JSON its fields; what does not fit is refused.",
    )  # fmt: skip
    _message(word)


def _ask(words: Words) -> None:
    word = add_word(
        words, "ask", "ask an agent of a running tree, and print its reply as JSON",
        "treewarden ask desk.db writer Pages '{\"topic\": \"tea\"}'",
        "KIND is a Request that the agent handles, the JSON its fields. A reply is printed alone.",
    )  # fmt: skip
    _message(word)


def _message(word: argparse.ArgumentParser) -> None:
    _file_and_path(word)
    word.add_argument("kind", metavar="KIND")
    word.add_argument("data", metavar="JSON", type=text, nargs="?", default="{}", help="its fields ({})")
    word.add_argument("--trace", type=text, metavar="ID", help="the trace in which it begins, or a traceparent")
    add_answered(word)


def _signal(words: Words) -> None:
    word = add_word(
        words, "signal", "tell a supervisor what was noticed about a slot",
        "treewarden signal desk.db writer slow --severity 0.6 --text '4 s behind'",
    )  # fmt: skip
    _file_and_path(word)
    word.add_argument("kind", metavar="KIND", help="what was noticed, in a word")
    word.add_argument("--severity", type=float, default=0.5, metavar="0-1", help="how bad it is (0.5)")
    word.add_argument("--text", type=text, default="", metavar="TEXT")
    ends = word.add_mutually_exclusive_group()
    ends.add_argument(
        "--lasts", type=positive, metavar="SECONDS", help="it is over when it was not told again for so long"
    )
    ends.add_argument("--over", action="store_true", help="it is over: take back what was told before")
    add_answered(word)


def _stop(words: Words) -> None:
    word = add_word(
        words, "stop", "stop a running tree in order, or one slot of it", "treewarden stop desk.db writer",
        "Of the whole tree it waits until its process has closed the journal.",
    )  # fmt: skip
    _file_and_path(word, optional=True)
    add_answered(word)


def _hold(words: Words) -> None:
    word = add_word(
        words, "hold", "stop a slot until somebody resumes it; what it is told waits",
        "treewarden hold desk.db writer --text 'the printer is being moved'",
        "It is held in the next process as well. Below a supervisor nobody is handed anything, and nobody is ended.",
    )  # fmt: skip
    _file_and_path(word)
    word.add_argument("--text", type=text, default="", metavar="TEXT", help="why, for whoever comes next")
    add_answered(word)


def _resume(words: Words) -> None:
    word = add_word(
        words, "resume", "let a slot go on that is held, throttled or stopped", "treewarden resume desk.db writer"
    )
    _file_and_path(word)
    add_answered(word)


def _run_now(words: Words) -> None:
    word = add_word(
        words, "run-now", "run what comes at its times now", "treewarden run-now desk.db poller",
        "What is due later comes then, too. One that waits already, and this, are one.",
    )  # fmt: skip
    _file_and_path(word)
    word.add_argument("tick", metavar="TICK", type=text, nargs="?", default="", help="its method, where it has several")
    add_answered(word)


def _effects(words: Words) -> None:
    word = add_word(
        words, "effects", "list the effects of which nobody knows whether they were done", "treewarden effects desk.db",
        "Of a tree that runs, also what is under way. It reads only.",
    )  # fmt: skip
    _file_and_path(word, optional=True)
    add_json(word)


def _answer(words: Words) -> None:
    word = add_word(
        words, "answer", "answer a handler's question, or what came of an effect in doubt",
        "treewarden answer desk.db buyer --say ups --key 5e0c61a94d20\n"
        "  treewarden answer desk.db writer --done '{\"id\": 4711}'",
        "What is asked, and its key, is shown by `treewarden waits`, an effect by `effects`. Of several who answer a "
        "question the first counts. Where no tree runs, the next one goes on with it.",
    )  # fmt: skip
    _file_and_path(word)
    which = word.add_mutually_exclusive_group(required=True)
    which.add_argument("--say", type=text, metavar="TEXT", help="the answer to a question; --key is its key")
    which.add_argument("--done", type=text, metavar="JSON", help="it was done, and returned this")
    which.add_argument("--not-done", action="store_true", help="it was not: it runs again")
    which.add_argument("--give-up", action="store_true", help="its message becomes a dead letter")
    word.add_argument("--key", type=text, metavar="KEY", help="which one, where there are more")
    word.add_argument("--by", type=text, metavar="NAME", help="who answers the question (you)")
    add_answered(word)


def _waits(words: Words) -> None:
    word = add_word(
        words, "waits", "list what handlers wait for: a time, an event, or a person's word", "treewarden waits desk.db",
        "Of an approval or a question it shows what is asked, and the key that approve and answer take. It reads only.",
    )  # fmt: skip
    _file_and_path(word, optional=True)
    add_json(word)


def _approve(words: Words) -> None:
    word = add_word(
        words, "approve", "approve what a handler waits for", "treewarden approve desk.db payments --key 5e0c61a94d20",
        "The key is that of what `treewarden waits` has shown: anything else has another one. Of several who rule, the "
        "first counts. Where no tree runs, the next one goes on with it.",
    )  # fmt: skip
    _file_and_path(word)
    word.add_argument("--key", type=text, required=True, metavar="KEY", help="of what was shown")
    word.add_argument("--by", type=text, metavar="NAME", help="who approves it (you)")
    word.add_argument("--comment", type=text, default="", metavar="TEXT")
    add_answered(word)


def _refuse(words: Words) -> None:
    word = add_word(
        words, "refuse", "refuse what a handler waits for",
        "treewarden refuse desk.db payments --reason 'not to this account'",
        "Of several who rule, the first counts. Where no tree runs, the next one goes on with it.",
    )  # fmt: skip
    _file_and_path(word)
    word.add_argument("--key", type=text, default="", metavar="KEY", help="which one, where there are more")
    word.add_argument("--by", type=text, metavar="NAME", help="who refuses it (you)")
    word.add_argument("--reason", type=text, default="", metavar="TEXT")
    add_answered(word)


def _dead_letters(words: Words) -> None:
    word = add_word(
        words, "dead-letters", "list the messages that were given up, with the reason",
        "treewarden dead-letters desk.db writer",
        "Those of mailboxes on disk. --json has what stands in them. It reads only.",
    )  # fmt: skip
    _file_and_path(word, optional=True)
    word.add_argument("--last", type=count, default=100, metavar="N", help="at most N, the newest (100)")
    add_json(word)


def _replay(words: Words) -> None:
    word = add_word(
        words, "replay", "put dead letters back, as new messages, and say which they are",
        "treewarden replay desk.db writer 8f3a-17",
        "Without MESSAGE all of PATH, and of what is below it, the oldest first.",
    )  # fmt: skip
    _file_and_path(word)
    word.add_argument("message", metavar="MESSAGE", type=text, nargs="?", help="its id, as dead-letters shows it")
    add_answered(word)


def _perform(words: Words) -> None:
    word = add_word(
        words, "perform", "run an action that is registered under a name, and say what came of it",
        "treewarden perform desk.db writer cache_warmup",
    )  # fmt: skip
    _file_and_path(word)
    word.add_argument("name", metavar="NAME")
    add_answered(word)


def _drain(words: Words) -> None:
    word = add_word(
        words, "drain", "handle what waits, and stop: a slot, a part of a tree, or all",
        "treewarden drain desk.db writer",
        "What is left after --within, as of who is held or down, waits on disk; what was in memory only is given up.",
    )  # fmt: skip
    _file_and_path(word, optional=True)
    add_answered(word)


def add_keep(deeds: Words) -> None:
    """Declare the deed of `treewarden checkpoint` that is not only about a file."""
    word = add_word(
        deeds, "keep", "keep the state of an agent of a running tree",
        "treewarden checkpoint keep desk.db writer --name good",
    )  # fmt: skip
    word.set_defaults(word="checkpoint")
    _file_and_path(word)
    word.add_argument("--name", type=text, default="", metavar="NAME", help="one with a name stays for good")
    word.add_argument("--description", type=text, default="", metavar="TEXT")
    word.add_argument("--tag", type=text, action="append", metavar="TAG", help="may be repeated")
    add_answered(word)


def _roll_back(words: Words) -> None:
    word = add_word(
        words, "roll-back", "give an agent a state that was kept",
        "treewarden roll-back desk.db writer --to good",
        "Where no tree runs, it begins with that state when the next one does.",
    )  # fmt: skip
    _file_and_path(word)
    which = word.add_mutually_exclusive_group(required=True)
    which.add_argument("--to", type=text, metavar="N|NAME", help="a checkpoint's number, or the newest of a name")
    which.add_argument("--declared", action="store_true", help="the state that its class declares")
    add_answered(word)


def _file_and_path(word: argparse.ArgumentParser, *, optional: bool = False) -> None:
    word.add_argument("file", metavar="FILE.db")
    if optional:
        word.add_argument("path", metavar="PATH", type=path, nargs="?", default=ROOT, help="all of it, if missing")
    else:
        word.add_argument("path", metavar="PATH", type=path)


def add_answered(word: argparse.ArgumentParser) -> None:
    """Declare what every command that is answered takes."""
    word.add_argument("--id", metavar="ID", help="of your own: the same one counts once, however often it is sent")
    word.add_argument("--within", type=positive, default=30.0, metavar="SECONDS", help="how long it may take (30)")
    add_json(word)
