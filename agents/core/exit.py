"""How a life ends: Finished, Stopped or Failed, and what a failure looks like."""

from __future__ import annotations

import hashlib
import linecache
import math
import traceback
from types import CodeType
from typing import Final, TypeAlias, cast

from attrs import frozen

from .message import MessageId

__all__ = [
    "KILLED",
    "Exit",
    "Failed",
    "Failure",
    "Finished",
    "Stopped",
    "alone",
    "describe",
    "fingerprint",
    "is_clean",
    "leaves",
]


_FRAMES: Final = 8
"""Frames of each exception that are kept, the innermost ones."""
_CAUSES: Final = 4
"""How far the chain of causes is followed."""
_STANDARD_LIBRARY: Final = traceback.__file__.removesuffix("traceback.py")


@frozen
class Failure:
    """An exception as data: what it was, where it came from, and which message was in hand."""

    type: str
    """The exception's class, with its module unless that is `builtins`."""
    text: str = ""
    fingerprint: str = ""
    """Equal for failures of the same class raised at the same place (file, function; not the line)."""
    where: str = ""
    """`file:line in function` of the innermost frame outside the standard library, for people."""
    message: MessageId | None = None
    message_kind: str | None = None
    trace: str = ""
    after: float | None = None
    """Seconds the other side asked us to wait (Retry-After), if it did."""
    unborn: bool = False
    """The agent could not be made, so it never saw its state."""
    parts: tuple[Failure, ...] = ()
    """The leaves of an exception group, flattened."""

    def __str__(self) -> str:
        text = f"{self.type}: {self.text}" if self.text else self.type
        return f"{text} ({self.where})" if self.where else text


@frozen
class Finished:
    """The body returned: the work is done. Clean."""

    result: object = None


@frozen
class Stopped:
    """It was asked to end, or chose to, and did so in order. Clean, as OTP's `shutdown` and `{shutdown, _}`."""

    reason: str = "shutdown"


@frozen
class Failed:
    """It ended by an exception, or was killed. Abnormal."""

    failure: Failure


Exit: TypeAlias = Finished | Stopped | Failed

KILLED: Final = Failed(Failure("Killed", "killed without being asked", fingerprint="killed"))
"""The exit of an incarnation that was cancelled without being asked, or did not end within its grace."""


def is_clean(exit: Exit) -> bool:
    """Whether a transient child ends for good with this exit (OTP: normal, shutdown, {shutdown, _})."""
    return not isinstance(exit, Failed)


def fingerprint(kind: str, places: tuple[str, ...]) -> str:
    """A short stable name for `kind` raised at `places` (innermost last, `file:function`)."""
    digest = hashlib.blake2b("\0".join((kind, *places[-3:])).encode(), digest_size=6)
    return digest.hexdigest()


def describe(error: BaseException, *, message: MessageId | None = None, message_kind: str | None = None) -> Failure:
    """Turn an exception into a `Failure`. A group is flattened into `parts`; leaves of one type give it their type."""
    kind = _name(type(error))
    frames = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    places = tuple(f"{_short(code.co_filename)}:{code.co_name}" for code, _ in frames)
    found = leaves(error)
    parts = tuple(describe(leaf) for leaf in found) if found[0] is not error else ()
    kinds = {part.type for part in parts}
    return Failure(
        type=kinds.pop() if len(kinds) == 1 else kind,
        text=_text(error),
        fingerprint=parts[0].fingerprint if parts else fingerprint(kind, places),
        where=_where(frames),
        message=message,
        message_kind=message_kind,
        trace=_trace(error),
        after=_retry_after(error),
        parts=parts,
    )


def leaves(error: BaseException) -> list[BaseException]:
    """The exceptions that `error` holds: itself, or those of a group, of its groups, and so on."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    group = cast("BaseExceptionGroup[BaseException]", error)
    return [leaf for each in group.exceptions for leaf in leaves(each)]


def alone(error: BaseException) -> BaseException:
    """The only exception in a group, or `error` itself."""
    found = leaves(error)
    return found[0] if len(found) == 1 else error


def _where(frames: list[tuple[CodeType, int]]) -> str:
    if not frames:
        return ""
    code, line = next((each for each in reversed(frames) if not _is_standard(each[0].co_filename)), frames[-1])
    return f"{_short(code.co_filename)}:{line} in {code.co_name}"


def _trace(error: BaseException) -> str:
    """The innermost frames of the error and of what caused it, as a traceback prints them but for the carets.

    `traceback` compiles every line for those, which makes it most of what a crash costs.
    """
    lines: list[str] = []
    step: BaseException | None = error
    for _ in range(_CAUSES):
        if step is None:
            break
        told = [f"{_name(type(step))}: {_text(step)}\n"]
        for frame, line in [*traceback.walk_tb(step.__traceback__)][-_FRAMES:]:
            code = frame.f_code
            source = linecache.getline(code.co_filename, line).strip()
            told.append(f'  File "{code.co_filename}", line {line}, in {code.co_name}\n')
            if source:
                told.append(f"    {source}\n")
        lines += ["caused by ", *told] if lines else told
        step = step.__cause__ or (None if step.__suppress_context__ else step.__context__)
    return "".join(lines)


def _is_standard(filename: str) -> bool:
    return filename.startswith("<frozen ") or (
        filename.startswith(_STANDARD_LIBRARY) and "site-packages" not in filename and "dist-packages" not in filename
    )


def _name(kind: type[BaseException]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _text(error: BaseException) -> str:
    try:
        return str(error)[:2000]
    except Exception:  # a broken __str__ must not hide the failure that it belongs to
        return "<its text could not be read>"


def _short(filename: str) -> str:
    return "/".join(filename.replace("\\", "/").split("/")[-2:])


def _retry_after(error: BaseException) -> float | None:
    after = getattr(error, "after", None)
    if isinstance(after, bool) or not isinstance(after, (int, float)) or not 0 <= after < math.inf:
        return None
    return float(after)
