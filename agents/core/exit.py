"""How a life ends: Finished, Stopped or Failed, and what a failure looks like."""

from __future__ import annotations

import hashlib
import linecache
import math
import traceback
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import CodeType, TracebackType
from typing import Any, Final, TypeAlias

from .message import MessageId
from .said import is_number
from .values import frozen

__all__ = [
    "KILLED",
    "Exit",
    "Failed",
    "Failure",
    "Finished",
    "Stopped",
    "alone",
    "describe",
    "ends_process",
    "fingerprint",
    "grouped",
    "is_clean",
    "is_standard",
    "leaves",
    "storable",
]


_CAUSE: Final[Callable[[BaseException], BaseException | None]] = BaseException.__dict__["__cause__"].__get__
_CONTEXT: Final[Callable[[BaseException], BaseException | None]] = BaseException.__dict__["__context__"].__get__
_SUPPRESSED: Final[Callable[[BaseException], bool]] = BaseException.__dict__["__suppress_context__"].__get__
_TRACEBACK: Final[Callable[[BaseException], TracebackType | None]] = BaseException.__dict__["__traceback__"].__get__
_PARTS: Final[Callable[[BaseException], tuple[BaseException, ...]]] = BaseExceptionGroup.__dict__["exceptions"].__get__
"""What every exception has, also one that does not let itself be asked: a `__getattribute__` or `__class__` of its own
may raise anything, and is not called for any of this."""
_QUALNAME: Final[Callable[[type], str]] = type.__dict__["__qualname__"].__get__
_MODULE: Final[Callable[[type], object]] = type.__dict__["__module__"].__get__
_FRAMES: Final = 8
"""Frames of each exception that are kept, the innermost ones."""
_TELLING: Final = 3
"""The innermost frames that tell a failure from others."""
_CAUSES: Final = 4
"""How far the chain of causes is followed."""
_STANDARD_LIBRARY: Final = traceback.__file__.removesuffix("traceback.py")
_OURS: Final = tuple(
    __file__.removesuffix("agents/core/exit.py") + folder for folder in ("agents/", "supervisor/", "topologies/")
)
_DEEPEST: Final = 3 * 64
"""Of so many frames three facts are looked at: all that can be told of a recursion."""
_LONGEST_WAY: Final = 64
"""Frames of a way through the code that is remembered; longer ones are recursions."""
_SHORT: Final = 200
"""Characters of a text with which a failure is remembered, to be the next one like it."""
_PLACES: Final = 1024
"""Places in the code, and ways to them, that are remembered as text: what crashes again does so where it did before."""


@frozen
class _Place:
    """A frame of a traceback as text."""

    short: str
    """`file:function`, what fingerprints are made of."""
    where: str
    """`file:line in function`, for people."""
    trace: str
    """As a traceback prints it but for the carets: `traceback` compiles every line for those, which makes it most of
    what a crash costs."""
    standard: bool
    """It is in the standard library."""
    ours: bool
    """It is treewarden's."""


@frozen
class _Told:
    """What all exceptions of one class from one place have in common, told once: what crashes again does so there."""

    kind: str
    fingerprint: str
    where: str
    trace: str


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


@lru_cache(_PLACES)
def fingerprint(kind: str, places: tuple[str, ...]) -> str:
    """A short stable name for `kind` raised at `places` (innermost last, `file:function`)."""
    digest = hashlib.blake2b("\0".join((kind, *places[-_TELLING:])).encode(), digest_size=6)
    return digest.hexdigest()


def describe(error: BaseException, *, message: MessageId | None = None, message_kind: str | None = None) -> Failure:
    """Turn an exception into a `Failure`. A group is flattened into `parts`; leaves of one type give it their type."""
    return failed_by(error, message, message_kind).failure


def failed_by(error: BaseException, message: MessageId | None, message_kind: str | None) -> Failed:
    """The exit of whoever raised this, as `describe` tells it. Whoever fails as before gets the value of before."""
    text = _text(error)
    way = _way_of(error)
    after = _retry_after(error)
    told, last = way.told, way.last
    group = issubclass(type(error), _GROUP)
    plain = message is None and _CAUSE(error) is None and _CONTEXT(error) is None and not group
    if plain and last is not None:
        known = last.failure
        if known.text == text and known.message_kind == message_kind and known.after == after:
            return last
    kind, mark = told.kind, told.fingerprint
    parts: tuple[Failure, ...] = ()
    if group:
        parts = tuple([describe(leaf) for leaf in leaves(error)])
        kinds = {part.type for part in parts}
        kind, mark = kinds.pop() if len(kinds) == 1 else kind, parts[0].fingerprint
    trace = f"{told.kind}: {text}\n{told.trace}{_causes(error)}"
    exit = Failed(Failure(kind, text, mark, told.where, message, message_kind, trace, after, False, parts))
    if plain and len(text) <= _SHORT:
        way.last = exit
    return exit


def leaves(error: BaseException) -> list[BaseException]:
    """The exceptions that `error` holds: itself, or those of a group, of its groups, and so on."""
    if not issubclass(type(error), _GROUP):
        return [error]
    found: list[BaseException] = []
    left: list[BaseException] = [error]
    while left:
        each = left.pop()
        if issubclass(type(each), _GROUP):
            left += reversed(_PARTS(each))
        else:
            found.append(each)
    return found


def ends_process(error: BaseException) -> bool:
    """Whether `error` is, or holds, Ctrl-C or a wish to exit: no failure of whoever raised it."""
    return any(issubclass(type(leaf), (KeyboardInterrupt, SystemExit)) for leaf in leaves(error))


def grouped(text: str, errors: Sequence[BaseException]) -> BaseExceptionGroup[BaseException]:
    """A group of these. For one that Python cannot ask what it is, an error stands there that says the same."""
    return BaseExceptionGroup(
        text, [each if _can_be_asked(each) else RuntimeError(str(describe(each))) for each in errors]
    )


def _can_be_asked(error: BaseException) -> bool:
    try:
        isinstance(error, Exception)  # as a group does
    except BaseException as odd:
        if ends_process(odd):
            raise
        return False
    return True


def alone(error: BaseException) -> BaseException:
    """The only exception in a group, or `error` itself. Ctrl-C that was pressed again is one."""
    if not issubclass(type(error), _GROUP):
        return error
    found = leaves(error)
    only = len(found) == 1 or all(issubclass(type(each), KeyboardInterrupt) for each in found)
    return found[0] if only else error


_GROUP: Final[type[BaseException]] = BaseExceptionGroup


class _Way:
    """A way through the code on which an exception of one class has come."""

    __slots__ = ("held", "last", "told")

    def __init__(self, told: _Told, held: tuple[object, ...]) -> None:
        self.told = told
        self.held = held
        """The class and the code, held on to, so that nothing else gets the id of one of them."""
        self.last: Failed | None = None
        """What came of it last, without a message of its own: what crashes again mostly says the same."""


_KNOWN: Final[dict[tuple[Any, ...], _Way]] = {}
"""By class, code and places in it."""


def _way_of(error: BaseException) -> _Way:
    """What is told of an error, found without looking for lines: that takes longer the longer a function is."""
    steps = [id(type(error))]  # and not the class: that may be one that cannot be a key
    traceback = _TRACEBACK(error)
    while traceback is not None:
        steps += (id(traceback.tb_frame.f_code), traceback.tb_lasti)
        traceback = traceback.tb_next
    known = _KNOWN.get(key := tuple(steps))
    return _way_found(error, key) if known is None else known


def _way_found(error: BaseException, key: tuple[Any, ...]) -> _Way:
    codes: list[CodeType] = []
    traceback = _TRACEBACK(error)
    while traceback is not None:
        codes.append(traceback.tb_frame.f_code)
        traceback = traceback.tb_next
    way = _Way(_told(_name(type(error)), _spots(_TRACEBACK(error))), (type(error), *codes))
    if len(codes) <= _LONGEST_WAY:
        if len(_KNOWN) >= _PLACES:
            _KNOWN.clear()
        _KNOWN[key] = way
    return way


def _spots(traceback: TracebackType | None) -> tuple[str | int, ...]:
    """File, line and function of each frame of a traceback, one after the other, the innermost last."""
    found: list[str | int] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        found += (code.co_filename, traceback.tb_lineno, code.co_name)
        traceback = traceback.tb_next
    return tuple(found[-_DEEPEST:])


@lru_cache(_PLACES)
def _told(kind: str, spots: tuple[Any, ...]) -> _Told:
    places = [_place(*spots[at : at + 3]) for at in range(0, len(spots), 3)]
    where = next((place.where for place in reversed(places) if not place.standard), places[-1].where if places else "")
    # Which way of ours led to the code that failed tells nothing: a handler is called in more than one place.
    begin = next((at for at, place in enumerate(places) if not place.ours), -1)
    return _Told(
        kind,
        fingerprint(kind, tuple([place.short for place in places[begin:][-_TELLING:]])),
        where,
        "".join([place.trace for place in places[-_FRAMES:]]),
    )


@lru_cache(_PLACES)
def _place(filename: str, line: int, function: str) -> _Place:
    source = linecache.getline(filename, line).strip()
    file = storable(_short(filename))
    told = f'  File "{storable(filename)}", line {line}, in {function}\n'
    return _Place(
        short=f"{file}:{function}",
        where=f"{file}:{line} in {function}",
        trace=f"{told}    {source}\n" if source else told,
        standard=is_standard(filename),
        ours=filename.startswith(_OURS),
    )


def _causes(error: BaseException) -> str:
    """What caused the error, each with its innermost frames; empty for most."""
    told = ""
    if _CAUSE(error) is None and _CONTEXT(error) is None:
        return told
    for _ in range(_CAUSES - 1):
        cause = _CAUSE(error)
        if cause is None and not _SUPPRESSED(error):
            cause = _CONTEXT(error)
        if cause is None:
            break
        error = cause
        of_this = _way_of(error).told
        told += f"caused by {of_this.kind}: {_text(error)}\n{of_this.trace}"
    return told


def is_standard(filename: str) -> bool:
    """Whether a file belongs to Python itself."""
    return filename.startswith("<frozen ") or (
        filename.startswith(_STANDARD_LIBRARY) and "site-packages" not in filename and "dist-packages" not in filename
    )


def _name(kind: type[BaseException]) -> str:
    name, module = map(_plain, (_QUALNAME(kind), _MODULE(kind)))  # past a class of its own, which may raise as well
    return name if module == "builtins" else f"{module}.{name}"


def _plain(name: Any) -> str:
    return storable(str.__str__(name)) if issubclass(type(name), str) else "<unknown>"


def _text(error: BaseException) -> str:
    try:
        return storable(str(error)[:2000])
    except BaseException as odd:  # a broken __str__ must not hide the failure that it belongs to
        if ends_process(odd):
            raise
        return "<its text could not be read>"


def storable(text: str) -> str:
    """`text`, with each half of a character written out (`\\udcff`): file names that are no UTF-8 hold such, and no
    encoding has a word for them."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _short(filename: str) -> str:
    return "/".join(filename.replace("\\", "/").split("/")[-2:])


def _retry_after(error: BaseException) -> float | None:
    try:
        after = getattr(error, "after", None)
        return float(after) if is_number(after) and 0 <= after < math.inf else None
    except BaseException as odd:
        if ends_process(odd):
            raise
        return None
