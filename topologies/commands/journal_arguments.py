"""What `treewarden journal` takes: its deeds and their options."""

from __future__ import annotations

from argparse import ArgumentParser

from treewarden.agents.core.path import ROOT

from .words import Words, add_deeds, add_json, add_word, count, kind, path, positive, whole

__all__ = ["add_journal"]


def add_journal(words: Words) -> None:
    """Declare the word and its deeds."""
    word = add_word(words, "journal", "read and check journals", "treewarden journal show watchdog.db --last 20")
    add_deeds(word, _show, _verify, _check_code, _export, _import, _fork, _move, _blobs, _compact, _prune)


def _show(deeds: Words) -> None:
    show = add_word(
        deeds, "show", "print a journal's events", "treewarden journal show watchdog.db --follow --path pollers",
        "It reads only.",
    )  # fmt: skip
    show.set_defaults(word="journal")
    show.add_argument("file", metavar="FILE.db")
    show.add_argument("--follow", action="store_true", help="go on with new events, until Ctrl-C")
    show.add_argument("--path", type=path, metavar="PATH", help="only this slot and those below it")
    show.add_argument(
        "--kind", type=kind, action="append", metavar="KIND", help="only these, as ChildEnded; may be repeated"
    )
    show.add_argument("--last", type=count, metavar="N", help="only the last N")
    show.add_argument("--since", type=positive, metavar="SECONDS", help="only those of the last SECONDS")
    add_json(show)


def _verify(deeds: Words) -> None:
    verify = add_word(
        deeds, "verify", "check the hash chain of a journal's events",
        "treewarden journal verify watchdog.db --head heads.jsonl --key key.txt",
        "Of a live tree or a dead one; it reads only. Without --head the file's own word is taken for where it ends.",
    )  # fmt: skip
    verify.set_defaults(word="journal")
    verify.add_argument("file", metavar="FILE.db")
    verify.add_argument("--head", metavar="HEAD.jsonl", help="the heads that `treewarden run --head` has kept")
    verify.add_argument("--key", metavar="FILE", help="the key under which they are signed")
    verify.add_argument("--public-key", metavar="FILE", help="the public key of who signed them, in its place")
    add_json(verify)


def _check_code(deeds: Words) -> None:
    check = add_word(
        deeds, "check-code", "say what a journal holds that the code at hand cannot read",
        "treewarden journal check-code watchdog.db --topology watchdog.toml",
        "States, messages, checkpoints, dead letters and replies are decoded by the classes of a topology's agents, "
        "or by those that the file names: their modules are imported, with the current folder first on the path. "
        "Exit code 1 if there is anything.",
    )  # fmt: skip
    check.set_defaults(word="journal")
    check.add_argument("file", metavar="FILE.db")
    check.add_argument(
        "--topology", metavar="TOPOLOGY", help="the tree that is to run on it: FILE.toml, or module:name of a blueprint"
    )
    add_json(check)


def _export(deeds: Words) -> None:
    export = add_word(
        deeds, "export", "write a journal, or one agent's part of it, as lines of JSON",
        "treewarden journal export desk.db writer -o writer.jsonl --secret api_key",
        "Events, states, checkpoints, mailboxes, dead letters, replies and due times, of a live tree or a dead one.",
    )  # fmt: skip
    export.set_defaults(word="journal")
    export.add_argument("file", metavar="FILE.db")
    export.add_argument("path", metavar="PATH", type=path, nargs="?", default=ROOT, help="a slot and what is below it")
    export.add_argument("-o", dest="output", metavar="BUNDLE.jsonl", required=True, help="a new file; - is stdout")
    export.add_argument("--secret", action="append", metavar="KEY", help="leave out values under it; may be repeated")
    export.add_argument("--secrets", metavar="FILE", help="the keys in this file too, one to a line")
    export.add_argument("--topology", metavar="FILE.toml", help="what stands under them there is not to leave either")


def _import(deeds: Words) -> None:
    word = add_word(
        deeds, "import", "make a journal of an exported bundle", "treewarden journal import desk.jsonl copy.db",
        "A damaged bundle is refused with the line that is at fault.",
    )  # fmt: skip
    word.set_defaults(word="journal")
    word.add_argument("bundle", metavar="BUNDLE.jsonl", help="- is stdin")
    word.add_argument("file", metavar="NEW.db")
    add_json(word)


def _fork(deeds: Words) -> None:
    word = add_word(
        deeds, "fork", "make a journal that shares its past with another",
        "treewarden journal fork watchdog.db --at 120 before.db",
        "Of a live tree or a dead one, which is not changed. At the end of the journal the fork has everything; "
        "further back each agent begins with the newest state that was kept until then.",
    )  # fmt: skip
    word.set_defaults(word="journal")
    word.add_argument("file", metavar="FILE.db")
    word.add_argument("new", metavar="NEW.db")
    word.add_argument("--at", type=count, metavar="SEQ", help="the last event that both share (the newest)")
    add_json(word)


def _move(deeds: Words) -> None:
    word = add_word(
        deeds, "move", "take what an agent has stored to the path that it has now",
        "treewarden journal move desk.db desk/orders desk/sales/orders",
        "State, checkpoints, waiting messages, dead letters and due times of a slot and of all below it, where no tree "
        "runs. Events stay where they happened; one more says what was moved. Start the tree with the new path next.",
    )  # fmt: skip
    word.set_defaults(word="journal")
    word.add_argument("file", metavar="FILE.db")
    word.add_argument("old", metavar="OLD", type=path, help="the path at which it is stored")
    word.add_argument("new", metavar="NEW", type=path, help="the path of the agent now; nothing may be stored there")
    word.add_argument("--dry-run", action="store_true", help="say what would be moved, or what is in the way")
    add_json(word)


def _blobs(deeds: Words) -> None:
    word = add_word(
        deeds, "blobs", "count the large values of a journal, or delete those that nobody holds",
        "treewarden journal blobs watchdog.db gc --dry-run",
        "A live tree deletes them by itself, now and then; gc has it do so at once.",
    )  # fmt: skip
    word.set_defaults(word="journal")
    word.add_argument("file", metavar="FILE.db")
    word.add_argument("gc", nargs="?", choices=["gc"], help="delete those that nobody holds")
    word.add_argument("--dry-run", action="store_true", help="only say what gc would delete")
    _within(word)
    add_json(word)


def _compact(deeds: Words) -> None:
    word = add_word(
        deeds, "compact", "give room of a journal back to the disk", "treewarden journal compact watchdog.db",
        "Of a tree that does not run, or through the one that does, in short steps.",
    )  # fmt: skip
    word.set_defaults(word="journal")
    word.add_argument("file", metavar="FILE.db")
    _within(word)
    add_json(word)


def _prune(deeds: Words) -> None:
    word = add_word(
        deeds, "prune", "give up old events, so that the rest is proven as before",
        "treewarden journal prune watchdog.db --keep-days 30 --keep-events 10000",
        "Of a tree that does not run, or through the one that does. An event stays if either rule says so, and all "
        "behind it; so do open incidents and the events of checkpoints with a name or a tag.",
    )  # fmt: skip
    word.set_defaults(word="journal")
    word.add_argument("file", metavar="FILE.db")
    word.set_defaults(public_key=None)
    word.add_argument("--keep-events", type=whole, metavar="N", help="the newest N stay")
    word.add_argument("--keep-days", type=positive, metavar="D", help="those of the last D days stay")
    word.add_argument("--past-checkpoints", action="store_true", help="go past named checkpoints, which stay")
    word.add_argument("--dry-run", action="store_true", help="only say what would go")
    word.add_argument("--head", metavar="HEAD.jsonl", help="heads that were kept: what none of them covers stays")
    word.add_argument("--key", metavar="FILE", help="the key under which they are signed; signs the record too")
    _within(word)
    add_json(word)


def _within(word: ArgumentParser) -> None:
    text = "how long a running tree may take (300)"
    word.add_argument("--within", type=positive, default=300.0, metavar="SECONDS", help=text)
