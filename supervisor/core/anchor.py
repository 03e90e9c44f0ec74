"""Heads of the chain as they are kept outside of the journal: one line each, signed if somebody has a key.

A head says how many events there were, and the hash of the last. Whoever can write the journal and the heads can make
both anew; with a key that lies elsewhere they cannot.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any, Final, TypeAlias, cast

from attrs import frozen

from .chain import Fault, FaultKind, Head

__all__ = ["Anchor", "Anchors", "Check", "Sign", "anchor_line", "beginning_of", "check_by", "hmac_sign", "read_anchors"]

Sign: TypeAlias = Callable[[bytes], str]
"""Gives the same text for the same bytes to whoever has the key, and to nobody else."""
Check: TypeAlias = Callable[[bytes, str], bool]
"""Whether a text is what somebody with the key has made of some bytes."""

_VERSION: Final = 1
_BEGINNING: Final = '{"v":1,"tree":"'
"""Of each line that this version writes."""


@frozen
class Anchor:
    """One head that was kept."""

    tree: str
    """The id of the journal."""
    epoch: int
    at: float
    """Wall seconds."""
    head: Head

    @property
    def text(self) -> bytes:
        """What is signed."""
        head = self.head
        return f"treewarden head {_VERSION}\n{self.tree} {self.epoch} {head.seq} {head.hash.hex()} {self.at!r}".encode()


@frozen(kw_only=True)
class Anchors:
    """What a file of heads holds."""

    anchors: tuple[Anchor, ...] = ()
    """Those that can be relied on, in the order of the lines."""
    faults: tuple[Fault, ...] = ()
    unsigned: int = 0
    """Heads that were taken without a check, because no key was given."""


def hmac_sign(key: bytes) -> Sign:
    """HMAC-SHA256 (RFC 2104) under `key`, in hexadecimal digits."""
    return lambda text: hmac.digest(key, text, "sha256").hex()


def check_by(sign: Sign) -> Check:
    """The check of whoever can sign as well."""
    return lambda text, mac: hmac.compare_digest(mac.encode(), sign(text).encode())


def anchor_line(anchor: Anchor, sign: Sign | None = None) -> str:
    """One line of JSON, with its end."""
    fields = {
        "v": _VERSION,
        "tree": anchor.tree,
        "epoch": anchor.epoch,
        "at": anchor.at,
        "seq": anchor.head.seq,
        "hash": anchor.head.hash.hex(),
    }
    if sign is not None:
        fields["mac"] = sign(anchor.text)
    return json.dumps(fields, separators=(",", ":")) + "\n"


def beginning_of(tree: str) -> str:
    """How every line of heads of a journal begins."""
    return json.dumps({"v": _VERSION, "tree": tree}, separators=(",", ":"))[:-1] + ","


def read_anchors(lines: Iterable[str], check: Check | None = None) -> Anchors:
    """What `lines` say. With `check` every line has to carry a signature that passes it; without, none is checked.

    A line that was not written to its end is left out: its writer died over it, or the disk was full, and of a file
    that can only grow nothing is taken away. So is a last one in which there are zeros: the power was cut, and the disk
    had not all of it.
    """
    anchors: list[Anchor] = []
    faults: list[Fault] = []
    torn: list[Fault] = []
    """Faults if another line follows."""
    unsigned = 0
    for number, line in enumerate(lines, 1):
        faults += torn
        torn.clear()
        if not line.endswith("\n"):
            break
        read = _read(line)
        if read is None:
            if _is_half(line):
                continue
            fault = Fault(0, FaultKind.UNREADABLE, f"line {number} of the heads is none")
            (torn if "\0" in line else faults).append(fault)
            continue
        anchor, mac = read
        if check is None:
            unsigned += 1
        elif not check(anchor.text, mac):
            what = "was not made with this key" if mac else "is not signed"
            faults.append(Fault(anchor.head.seq, FaultKind.FORGED, f"line {number} of the heads {what}"))
            continue
        anchors.append(anchor)
    return Anchors(anchors=tuple(anchors), faults=tuple(faults), unsigned=unsigned)


def _is_half(line: str) -> bool:
    """Whether it is the beginning of a head: each ends with the only brace that closes."""
    begun = line.rstrip("\n")
    return bool(begun) and begun[: len(_BEGINNING)] == _BEGINNING[: len(begun)] and not ("}" in begun or "\0" in begun)


def _read(line: str) -> tuple[Anchor, str] | None:
    try:
        data: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    fields = cast("dict[str, Any]", data)
    tree, epoch, at = fields.get("tree"), fields.get("epoch"), fields.get("at")
    seq, digest, mac = fields.get("seq"), fields.get("hash"), fields.get("mac", "")
    if (
        fields.get("v") != _VERSION
        or not isinstance(tree, str)
        or type(epoch) is not int
        or not isinstance(at, float)
        or type(seq) is not int
        or not isinstance(digest, str)
        or not isinstance(mac, str)
    ):
        return None
    try:
        hash = bytes.fromhex(digest)
    except ValueError:
        return None
    if len(hash) != sha256().digest_size or seq < 0 or not (mac.isascii() and tree.isascii()):
        return None
    return Anchor(tree, epoch, at, Head(seq, hash)), mac
