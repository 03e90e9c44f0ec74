"""`treewarden journal verify`: whether a journal's events are those that were written."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.core.anchor import Anchors
from treewarden.supervisor.core.chain import Fault, Verdict
from treewarden.supervisor.journal.anchoring import key_from, load_anchors
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.ops.wording import clean, plural

from .exits import ExitCode
from .stdout import Stdout

__all__ = ["verify"]


def verify(arguments: Namespace) -> int:
    """Print what is wrong, each fault with its number and kind; `ExitCode.DAMAGED` if anything is. Reads only."""
    out = Stdout.here()
    if arguments.key is not None and arguments.head is None:
        raise ConfigurationError("--key checks the heads in a file: give that too, with --head")
    kept = Anchors()
    if arguments.head is not None:
        kept = load_anchors(arguments.head, None if arguments.key is None else key_from(arguments.key))
    with JournalFile.open(arguments.file) as journal:
        _same_tree(journal.tree, kept, arguments)
        verdict = journal.verify(anchors=[anchor.head for anchor in kept.anchors])
    faults = (*kept.faults, *verdict.faults)
    if arguments.json:
        out.json(_object(arguments, verdict, kept, faults))
    else:
        out.lines(_lines(arguments, verdict, kept, faults, out))
    return ExitCode.DAMAGED if faults else ExitCode.ORDERLY


def _same_tree(tree: str, kept: Anchors, arguments: Namespace) -> None:
    others = {anchor.tree for anchor in kept.anchors} - {tree}
    if tree and others:
        raise ConfigurationError(
            f"{arguments.head} holds the heads of another journal ({', '.join(sorted(others))}); "
            f"that of {arguments.file} is {tree}"
        )


def _lines(arguments: Namespace, verdict: Verdict, kept: Anchors, faults: Sequence[Fault], out: Stdout) -> list[str]:
    count = plural(verdict.rows, "event")
    if faults:
        head = f"{arguments.file} is damaged: {plural(len(faults) + verdict.unlisted, 'fault')} in {count}"
        lines = [out.paint(clean(head), "bad"), *(clean(f"  {fault}") for fault in faults)]
        return [*lines, f"  and {verdict.unlisted} more"] if verdict.unlisted else lines
    lines = [out.paint(clean(f"{arguments.file} is sound: {count}, each as it was written"), "good")]
    if not kept.anchors:
        proof = "where it ends is the file's own word; --head proves that nothing was cut off or written anew"
    else:
        last = kept.anchors[-1].head.seq
        proof = f"{plural(len(kept.anchors), 'head')} kept outside lead through it, the last at event {last}"
        if kept.unsigned:
            proof += "; their signatures were not checked (--key)"
    return [*lines, clean(f"  {proof}")]


def _object(arguments: Namespace, verdict: Verdict, kept: Anchors, faults: Sequence[Fault]) -> dict[str, Any]:
    return {
        "file": arguments.file,
        "sound": not faults,
        "events": verdict.rows,
        "head": {"seq": verdict.head.seq, "hash": verdict.head.hash.hex()},
        "heads": len(kept.anchors),
        "anchored": kept.anchors[-1].head.seq if kept.anchors else None,
        "signatures_checked": arguments.key is not None,
        "faults": [{"seq": fault.seq, "kind": fault.kind, "text": fault.text} for fault in faults],
        "unlisted": verdict.unlisted,
    }
