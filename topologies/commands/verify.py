"""`treewarden journal verify`: whether a journal's events are those that were written."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from attrs import frozen

from treewarden.agents.errors import ConfigurationError, JournalDamaged
from treewarden.supervisor.core.anchor import Anchors, Sign, check_by
from treewarden.supervisor.core.chain import Fault, FaultKind, Head, Verdict
from treewarden.supervisor.core.event import EventsPruned
from treewarden.supervisor.core.retention import boundary_faults, boundary_text
from treewarden.supervisor.journal.anchoring import key_from, load_anchors, public_key_from
from treewarden.supervisor.journal.integrity import RowFault, Rows
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.ops.wording import clean, plural

from .exits import ExitCode
from .looking_on import looking_on
from .stdout import Stdout

__all__ = ["Checked", "check", "verify"]


@frozen(kw_only=True)
class Checked:
    """What a check has found."""

    verdict: Verdict
    kept: Anchors
    """The heads that were given."""
    faults: tuple[Fault, ...]
    rows: Rows
    """What is not in the chain."""
    asked: bool
    """Heads were given."""
    sign: Sign | None
    cut: EventsPruned | None


def check(arguments: Namespace) -> Checked:
    """Check the events of a file, with the heads and the key that the command line gives. Reads only.

    Raises `ConfigurationError` for what cannot be checked as it was asked for, `JournalError` for what is no journal.
    """
    if arguments.key is not None and arguments.head is None:
        raise ConfigurationError("--key checks the heads in a file: give that too, with --head")
    if arguments.public_key is not None and (arguments.head is None or arguments.key is not None):
        raise ConfigurationError("--public-key checks the heads in a file (--head), in the place of --key")
    sign = None if arguments.key is None else key_from(arguments.key)
    by = None if sign is None else check_by(sign)
    if arguments.public_key is not None:
        by = public_key_from(arguments.public_key)
    kept = Anchors() if arguments.head is None else load_anchors(arguments.head, check=by)
    none = not kept.anchors and all(fault.kind is FaultKind.UNREADABLE for fault in kept.faults)
    if arguments.head is not None and none:
        raise ConfigurationError(
            f"{arguments.head} holds no head, so nothing outside of {arguments.file} says where that ends: give the"
            " file that heads were kept in, or leave out --head to check the journal by itself"
        )
    heads, cut = tuple(anchor.head for anchor in kept.anchors), None
    try:
        with (
            JournalFile.open(arguments.file) as journal,
            looking_on(arguments, lambda: f"{arguments.file}: {journal.looked_at}", journal.interrupt),
        ):
            _same_tree(journal.tree, kept, arguments)
            verdict = journal.verify(anchors=heads)
            cut = journal.cut() if verdict.sound else None
            rows = journal.check_rows()
    except JournalDamaged as error:  # so much that it cannot be asked
        verdict = Verdict(0, Head(), ())
        rows = Rows(checked=0, unchecked=0, faults=(RowFault("", "", "structure", str(error)),))
    signed = None
    if cut is not None and by is not None and cut.mac:
        signed = by(boundary_text(cut.tree, cut.through, cut.hash, cut.count), cut.mac)
    faults = (*kept.faults, *verdict.faults, *boundary_faults(cut, heads, signed))
    asked = arguments.head is not None
    return Checked(verdict=verdict, kept=kept, faults=faults, rows=rows, asked=asked, sign=sign, cut=cut)


def verify(arguments: Namespace) -> int:
    """Print what is wrong, each fault with its number and kind; `ExitCode.DAMAGED` if anything is. Reads only."""
    out = Stdout.here()
    checked = check(arguments)
    if arguments.json:
        out.json(_object(arguments, checked))
    else:
        out.lines(_lines(arguments, checked, out))
    return ExitCode.DAMAGED if checked.faults or checked.rows.faults else ExitCode.ORDERLY


def _same_tree(tree: str, kept: Anchors, arguments: Namespace) -> None:
    others = {anchor.tree for anchor in kept.anchors} - {tree}
    if tree and others:
        raise ConfigurationError(
            f"{arguments.head} holds the heads of another journal ({', '.join(sorted(others))}); "
            f"that of {arguments.file} is {tree}"
        )


def _lines(arguments: Namespace, checked: Checked, out: Stdout) -> list[str]:
    verdict, kept, rows = checked.verdict, checked.kept, checked.rows
    count = plural(verdict.rows, "event")
    faults, unlisted = (*checked.faults, *rows.faults), verdict.unlisted + rows.unlisted
    if faults:
        beside = f" and {plural(rows.checked, 'row')} beside them" if rows.faults else ""
        head = f"{arguments.file} is damaged: {plural(len(faults) + unlisted, 'fault')} in {count}{beside}"
        lines = [out.paint(clean(head), "bad"), *(clean(f"  {fault}") for fault in faults)]
        return [*lines, f"  and {unlisted} more"] if unlisted else lines
    lines = [out.paint(clean(f"{arguments.file} is sound: {count}, each as it was written"), "good")]
    if not kept.anchors:
        proof = "where it ends is the file's own word; --head proves that nothing was cut off or written anew"
    else:
        last = kept.anchors[-1].head.seq
        proof = f"{plural(len(kept.anchors), 'head')} kept outside lead through it, the last at event {last}"
        if kept.unsigned:
            proof += "; their signatures were not checked (--key, --public-key)"
    lines.append(clean(f"  {proof}"))
    if rows.unchecked:
        are = "is" if rows.unchecked == 1 else "are"
        lines.append(clean(f"  {plural(rows.unchecked, 'row')} {are} from before rows had checksums"))
    if checked.cut is not None and checked.cut.through:
        text = f"events up to {checked.cut.through} were pruned by {checked.cut.by}, and the rest continues them"
        lines.append(clean(f"  {text}"))
    return lines


def _object(arguments: Namespace, checked: Checked) -> dict[str, Any]:
    verdict, kept, faults, rows = checked.verdict, checked.kept, checked.faults, checked.rows
    return {
        "file": arguments.file,
        "sound": not faults and not rows.faults,
        "events": verdict.rows,
        "pruned": checked.cut.through if checked.cut is not None else 0,
        "head": {"seq": verdict.head.seq, "hash": verdict.head.hash.hex()},
        "heads": len(kept.anchors),
        "anchored": kept.anchors[-1].head.seq if kept.anchors else None,
        "signatures_checked": (arguments.key or arguments.public_key) is not None,
        "faults": [{"seq": fault.seq, "kind": fault.kind, "text": fault.text} for fault in faults],
        "unlisted": verdict.unlisted,
        "rows": {
            "checked": rows.checked,
            "unchecked": rows.unchecked,
            "faults": [
                {"table": fault.table, "key": fault.key, "kind": fault.kind, "text": fault.text}
                for fault in rows.faults
            ],
            "unlisted": rows.unlisted,
        },
    }
