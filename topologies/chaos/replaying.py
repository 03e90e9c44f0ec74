"""A run as one word that can be pasted: whose it is, its seed, what happened in it, and which code it was."""

from __future__ import annotations

import base64
import binascii
import hashlib
import inspect
import json
import pathlib
import zlib
from collections.abc import Callable
from typing import Any, Final, cast

from attrs import field, frozen

from treewarden.agents.errors import ConfigurationError

from ..core.faults import Injection, Trigger
from .injecting import KINDS

__all__ = ["Replay", "code_of"]

_MARK: Final = "tw1:"
_ROOT: Final = pathlib.Path(__file__).parents[1]


@frozen(kw_only=True)
class Replay:
    """Everything that a run depends on, except code."""

    test: str
    """Which test: a node of pytest's, or a topology."""
    seed: int
    within: float
    scale: float = 1.0
    injections: tuple[Injection, ...] = ()
    code: str = ""
    """A short hash of the code that it ran; see `code_of`."""
    digest: str = field(default="", eq=False)
    """The beginning of its trace's hash."""
    order: str = ""
    """The `PYTHONHASHSEED` that it ran under; nothing if that was drawn."""

    def __str__(self) -> str:
        data = [
            *(self.test, self.seed, self.within, self.scale, self.code, self.digest[:12]),
            [_packed(each) for each in self.injections],
            *([self.order] if self.order else []),
        ]
        text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
        return _MARK + base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Replay:
        """Read what `str` gave. Raises `ConfigurationError` for anything else."""
        if not text.startswith(_MARK):
            raise ConfigurationError(f"{text!r} is no run to replay: it begins with {_MARK}")
        body = text.removeprefix(_MARK)
        try:
            data = json.loads(zlib.decompress(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))))
            test, seed, within, scale, code, digest, injections, *order = cast("list[Any]", data)
            read = tuple(_unpacked(each) for each in injections)
            return cls(
                test=str(test), seed=int(seed), within=float(within), scale=float(scale), code=str(code),
                digest=str(digest), injections=read, order="".join(map(str, order)),
            )  # fmt: skip
        except (binascii.Error, zlib.error, ValueError, TypeError, KeyError) as error:
            raise ConfigurationError(f"{text!r} is no run to replay, or not all of it: {error}") from None


def _packed(injection: Injection) -> list[Any]:
    trigger = injection.trigger
    return [
        *(injection.kind, injection.target, injection.at, injection.pick, dict(injection.knobs)),
        *([] if trigger is None else [trigger.point, trigger.n]),
    ]


def _unpacked(data: list[Any]) -> Injection:
    kind, target, at, pick, knobs, *trigger = data
    if kind not in KINDS:
        raise ValueError(f"there is no fault {kind!r}")
    return Injection(kind, target, float(at), float(pick), knobs, Trigger(*trigger) if trigger else None)


def code_of(body: Callable[..., Any]) -> str:
    """A short hash of treewarden's source and of the file that `body` stands in: where it differs, so may the trace."""
    digest = hashlib.blake2b(digest_size=4)
    for layer in ("agents", "supervisor", "topologies"):
        for file in sorted((_ROOT.parent / layer).rglob("*.py")):
            digest.update(file.read_bytes())
    try:
        digest.update(pathlib.Path(inspect.getfile(inspect.unwrap(body))).read_bytes())
    except (OSError, TypeError):  # a function that was made, not written
        digest.update(repr(getattr(body, "__qualname__", "")).encode())
    return digest.hexdigest()
