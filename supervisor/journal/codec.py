"""The user's states, messages and replies as text, and back. Only classes that were named beforehand are ever made."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from hashlib import blake2b
from operator import attrgetter
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from treewarden.agents.core.values import frozen
from treewarden.agents.errors import ConfigurationError, JournalDamaged, UnknownKind

from .canonical import dump, load
from .declared import Declared, OtherVersion, Versions
from .large import LIMIT, Large, is_long
from .scalars import AT_ONCE, Mismatch, Shape
from .shapes import kind_of

if TYPE_CHECKING:
    from .slices import Slices

__all__ = ["SCRIPT", "Codec", "Encoded"]

SCRIPT: Final = "__main__"
"""The module of a script that was started: what its classes are stored under says not which script."""

Encoded: TypeAlias = tuple[str, int, str, Large | None]
"""Kind, version, and the body as it is stored, or what that is to be made of later."""

_TOO_DEEP: Final = "nested too deeply"
_MAY_BE_LONG: Final = (dict, list, str)
_SIZED: Final = frozenset({tuple, list, dict, set, frozenset})
_NAMED: Final = 8
"""Bytes of a digest by which equal values are called the same."""
_FEW: Final = 512
"""Items of a part that are looked at only if the value before was long as well."""


@frozen
class _Root:
    """A type that is stored on its own: a state, a message, a reply."""

    kind: str
    shape: Shape
    versions: Versions


class Codec:
    """Encodes and decodes the types that it was given, and those that their fields declare.

    Stored are frozen attrs classes and dataclasses, None, bool, int, float, str, bytes, datetime, date, time,
    timedelta, Decimal, UUID, enums, literals, both kinds of paths, tuples, lists, sets and dicts of these, unions of
    these, and `Any` for plain JSON data. A type is read back exactly as it was given, but that fields with `init=False`
    are computed by their class again.

    A class may declare `__version__: ClassVar[int]` (1 if it does not) and `__upcasts__: ClassVar[Upcasts]`; the
    function under `n` turns the fields of version `n` into those of version `n + 1`. What was stored under the names in
    `__formerly__: ClassVar[tuple[str, ...]]` is of it, too.

    Raises `ConfigurationError` for a type that cannot be stored.
    """

    def __init__(
        self, types: Iterable[Any], late: tuple[type, ...] = (), *, state: Any = Any, told: Iterable[type] | None = None
    ) -> None:
        """What is needed for those that are `late` is loaded and made when the first of them comes. Of an agent: what
        its `state` may be, and what it may be `told`; it knows replies as well, and what every agent's codec does."""
        self._late = late
        self.states: Final = _kinds_of((state,))
        """What its state may be stored as; None for whatever it knows."""
        self._told: Final = (object,) if told is None else tuple(told)
        self._making = Lock()
        self._by_kind: dict[str, _Root] = {}
        self._formerly: dict[str, _Root] = {}
        """By the names that they had before."""
        self._by_type: dict[type, tuple[_Root, ...]] = {}
        self._left: dict[type, Callable[[Any, int], int]] = {}
        """`Shape.left` of those that may hold any number of values."""
        self._open: dict[type, tuple[Callable[[Any], Any], ...]] = {}
        """Of these, what finds the parts that do."""
        self._add((type(None), bool, int, float, str, bytes, *types))

    def _add(self, types: Iterable[Any]) -> None:
        declared, added = Declared(), list[tuple[Any, _Root]]()
        for given in types:
            for member in declared.members(given):
                try:
                    root = _Root(kind_of(member), declared.body(member), declared.versions(member))
                except RecursionError:
                    raise ConfigurationError(f"{kind_of(member)} cannot be stored: it is {_TOO_DEEP}") from None
                if root.kind in self._by_kind:
                    if self._by_kind[root.kind].shape is root.shape:
                        continue
                    raise ConfigurationError(f"two types are stored as {root.kind}: rename one of them")
                self._by_kind[root.kind] = root
                added.append((member, root))
                for kind in root.shape.holds:
                    if root.shape.left is not None:
                        self._left.setdefault(kind, root.shape.left)
                        self._open.setdefault(kind, tuple(map(attrgetter, root.shape.open_fields)) or (_itself,))
                    self._by_type[kind] = (*self._by_type.get(kind, ()), root)
        if any(shape.formerly for shape in declared.shapes.values()):
            self._add_former(added)

    def _add_former(self, added: Iterable[tuple[Any, _Root]]) -> None:
        from .formerly import former_kinds  # most programs have renamed nothing

        for kind, root in ((kind, root) for member, root in added for kind in former_kinds(member)):
            other = self._formerly.setdefault(kind, root)
            if other.kind != root.kind:
                raise ConfigurationError(f"{other.kind} and {root.kind} both say that they were {kind}: one was")

    @property
    def open_types(self) -> Collection[type]:
        """Those of which a value may hold any number of others."""
        return self._left

    @property
    def kinds(self) -> frozenset[str]:
        """What it can read."""
        return frozenset(self._by_kind)

    def _come_late(self, value: object) -> tuple[_Root, ...]:
        self._make_late()
        roots = self._by_type.get(type(value))
        if roots is None:
            raise ConfigurationError(
                f"{kind_of(type(value))} is not known to this agent's codec, which stores "
                f"{', '.join(sorted(self._by_kind))}: declare it as the agent's state, a handled message or a reply"
            )
        return roots

    def _make_late(self) -> None:
        """Something has come that it did not know: from now on it knows all that it may. Trees in other threads, which
        share the codec of a class, wait for that."""
        with self._making:
            self._add([each for each in self._late if each not in self._by_type])
            self._late = ()

    def kind_of(self, declared: Any) -> str:
        """The name under which values of this type are stored."""
        return kind_of(declared)

    def read(self, kind: str, data: Any) -> Any:
        """The value of today's version that `data` describes. Raises `ConfigurationError` naming what does not fit."""
        root = self._by_kind.get(kind)
        if root is None:
            self._make_late()
            root = self._by_kind.get(kind)
        if root is None:
            raise ConfigurationError(f"there is no {kind} here; there is {', '.join(sorted(self._by_kind))}")
        try:
            return root.shape.decode(data)
        except Mismatch as error:
            raise ConfigurationError(f"this is no {kind}: {error}") from error
        except RecursionError:
            raise ConfigurationError(f"this is no {kind}: {_TOO_DEEP}") from None

    def encode(self, value: object) -> tuple[str, int, str]:
        """`(kind, version, body)` of `value`; the body is JSON with the fields in their declared order.

        Raises `ConfigurationError` for a value of a type that it was not given, or that has something else in a
        field than the field declares; the text names the field.
        """
        kind, version, body, large = self.encode_row(value)
        return kind, version, body if large is None else large.text()

    def encode_row(self, value: object) -> Encoded:
        """As `encode`, for a row that is to be written; a value that may be longer than 64 kB as text is not made one
        here, which is most of the work: the body is empty, and it is `large`."""
        roots = self._by_type.get(type(value))
        if roots is None:
            roots = self._come_late(value)
        last = len(roots) - 1
        for position, root in enumerate(roots):  # more than one only for collections, as list[int] and list[str]
            try:
                return _row(root, root.shape.encode(value))
            except (Mismatch, ValueError, OverflowError, RecursionError) as error:
                if position == last:
                    raise _unfit(root, error) from error
        raise AssertionError("there is a root for every type that is known")

    def knows(self, value: object) -> bool:
        """Whether values of its type are stored."""
        return self.has(type(value))

    def has(self, kind: type) -> bool:
        """Whether values of this type are stored."""
        return kind in self._late or kind in self._by_type

    def has_grown(self, value: object) -> bool:
        """Whether a value whose last one was not wide may be it. Looks at how long it is, or what its fields hold, and
        no further: this is asked with each settle."""
        try:
            for part_of in self._open.get(value.__class__, ()):
                part: Any = part_of(value)
                if part.__class__ in _SIZED and len(part) > _FEW:
                    return True
        except AttributeError:  # of which `encode_row` says what it is
            pass
        return False

    def is_wide(self, value: object) -> bool:
        """Whether to encode it keeps everybody else for more than a few milliseconds. Looks at no more of it than
        a value may hold that does not."""
        left = self._left.get(type(value))
        try:
            return left is not None and left(value, AT_ONCE) < 0
        except (RecursionError, AttributeError):  # of which `encode_row` says what it is
            return False

    def left(self, value: object, room: int) -> int:
        """What is left of `room` behind the values that are in it, where it may hold any number of them; below 0 if
        there are more."""
        left = self._left.get(type(value))
        try:
            return room if left is None else left(value, room)
        except (RecursionError, AttributeError):  # as above
            return room

    def encoding(self, value: object) -> Slices[Encoded]:
        """As `encode_row`, in slices of some milliseconds for a value that is wide.

        Not parted is one text. What others change in it meanwhile may be there in part: it is to be a value which is
        replaced, and not changed.
        """
        from .in_slices import encoded

        for root in self._by_type.get(type(value), ()):
            with suppress(Mismatch, ValueError, OverflowError, RuntimeError):  # `encode_row` has the words for it
                return _row(root, (yield from encoded(root.shape, value)))
        return self.encode_row(value)

    def name_of(self, value: object) -> str:
        """A short text without spaces, the same for values that are equal. Raises as `encode`."""
        kind, version, body = self.encode(value)
        return f"{self.first_kind(kind)}:{version}:{blake2b(body.encode(), digest_size=_NAMED).hexdigest()}"

    def naming(self, value: object) -> Slices[str]:
        """As `name_of`, in slices as those of `encoding`."""
        kind, version, body, large = yield from self.encoding(value)
        named = blake2b(body.encode(), digest_size=_NAMED)
        if large is not None:
            try:
                for piece in large.flowing():
                    named.update(piece.encode())
                    yield
            except ValueError:  # for which `name_of` has the words
                return self.name_of(value)
            yield from large.giving_up()
        return f"{self.first_kind(kind)}:{version}:{named.hexdigest()}"

    def first_kind(self, kind: str) -> str:
        """What values that are stored as `kind` were stored as first: what was said of them then goes on to count."""
        names = [old for old, root in self._formerly.items() if root.kind == kind] if self._formerly else ()
        return names[-1] if names else kind

    def check_state(self, kind: str) -> None:
        """Raises `UnknownKind` if a state that is stored as `kind` is none that the agent has, though it is known here,
        as numbers are to every agent's codec: its handlers would begin with it."""
        root = self._known(kind)
        if self.states is not None and root is not None and root.kind not in self.states:
            raise UnknownKind(
                f"it is stored as {kind}, and here it is {' or '.join(sorted(self.states))}. "
                "Start the code that has it, or declare both, as in Agent[New | Old]"
            )

    def other_state(self, kind: str) -> ConfigurationError:
        """What to raise for a state that is to be stored as `kind`, and is not of `states`."""
        declared = " or ".join(sorted(self.states or ()))
        return ConfigurationError(f"its state is {kind}, and {declared} was declared; declare both, as in Agent[A | B]")

    def check_message(self, kind: str) -> None:
        """Raises `UnknownKind` if no handler takes messages that are stored as `kind`, though it is known here."""
        root = self._known(kind)
        if root is not None and not any(issubclass(each, self._told) for each in root.shape.holds):
            raise UnknownKind(f"no handler takes {kind} here. Start the code that has one, or give this agent one")

    def decode(self, kind: str, version: int, body: str) -> Any:
        """The value that was stored. Raises `UnknownKind` for a kind, version or body that these classes cannot read,
        `JournalDamaged` for a body that is not JSON."""
        root = self._root(kind, version)
        try:
            data = load(body)
        except ValueError as error:
            raise _not_json(kind, error) from error
        try:
            return root.shape.decode(root.versions.bring_up(data, version))
        except Mismatch as error:
            raise _misfit(kind, version, error, root.versions.now) from error
        except RecursionError:
            raise JournalDamaged(f"the body of a stored {kind} is {_TOO_DEEP}") from None

    def decoding(self, kind: str, version: int, body: str) -> Slices[Any]:
        """As `decode`, in slices of some milliseconds where the body is long.

        Not parted are an upcast, and the making of one value from what it holds: of a text, of a set.
        """
        if len(body) <= LIMIT:
            return self.decode(kind, version, body)
        from .in_slices import decoded  # with the first long one of a process, here and below
        from .slices import loaded

        root = self._root(kind, version)
        try:
            data = yield from loaded(body)
        except ValueError as error:
            raise _not_json(kind, error) from error
        try:
            data = root.versions.bring_up(data, version)
            with suppress(Mismatch, RecursionError):
                return (yield from decoded(root.shape, data))
            return root.shape.decode(data)  # which says where it does not fit, and takes fewer calls one in another
        except Mismatch as error:
            raise _misfit(kind, version, error, root.versions.now) from error
        except RecursionError:
            raise JournalDamaged(f"the body of a stored {kind} is {_TOO_DEEP}") from None

    def _known(self, kind: str) -> _Root | None:
        root = self._by_kind.get(kind)
        if root is None:
            self._make_late()
            root = self._by_kind.get(kind) or self._formerly.get(kind)
        return root

    def _root(self, kind: str, version: int) -> _Root:
        root = self._known(kind)
        if root is None:
            known = ", ".join(sorted(self._by_kind))
            why, remedy = self._why_unknown(kind)
            raise UnknownKind(
                f"no class at hand is stored as {kind} (version {version}){why}; known are {known}. {remedy}"
            )
        return root

    def _why_unknown(self, kind: str) -> tuple[str, str]:
        """Why there may be no such class here, and what to do."""
        module, _, name = kind.partition(":")
        if module != SCRIPT:
            was = f'__formerly__ = ("{kind}",)'
            return "", f"Start the code that has it, give this agent such a class, or one that says that it was: {was}"
        alike = next((each for each in sorted(self._by_kind) if each.partition(":")[2] == name), "")
        other = f", and {alike} is another one" if alike else ""
        remedy = "Start that script, or begin a new journal with the class in a module"
        return f": it stood in a script that was started{other}", remedy


def _itself(value: Any) -> Any:
    return value


def _kinds_of(types: Iterable[Any]) -> frozenset[str] | None:
    """Under which kinds values of these types are stored; None where one of them may be anything."""
    declared, kinds = Declared(), set[str]()
    for member in (member for each in types for member in declared.members(each)):
        if member is Any or member is object:
            return None
        holds = declared.shape(member).holds
        kinds.update((kind_of(member), *map(kind_of, holds)))
        if float in holds or int in holds:  # of which others are as well, and are stored as what they are
            kinds.update((kind_of(int), kind_of(bool)))
    return frozenset(kinds)


def _row(root: _Root, data: Any) -> Encoded:
    texts = root.shape.texts
    if texts is None:
        long = data.__class__ in _MAY_BE_LONG and is_long(data, LIMIT)
    else:
        room = LIMIT
        for name in texts:
            room -= len(data[name])
        long = room < 0
    if long:
        return root.kind, root.versions.now, "", Large(data)
    return root.kind, root.versions.now, dump(data), None


def _not_json(kind: str, error: ValueError) -> JournalDamaged:
    return JournalDamaged(f"the body of a stored {kind} is not JSON: {error}")


def _misfit(kind: str, version: int, error: Mismatch, now: int) -> UnknownKind:
    made = f"mend the upcast from version {now - 1}, which has made this of it"
    remedy = made if version < now else f"give the class a new __version__ and an upcast from {version}"
    if isinstance(error, OtherVersion):
        remedy = error.remedy
    return UnknownKind(f"a stored {kind} (version {version}) does not fit the class at hand: {error}; {remedy}")


def _unfit(root: _Root, error: Exception) -> ConfigurationError:
    where = error.where if isinstance(error, Mismatch) else ""
    text = error.text if isinstance(error, Mismatch) else str(error)
    if isinstance(error, RecursionError):
        fields = " or ".join(f".{name}" for name in root.shape.open_fields)
        text = f"it is {_TOO_DEEP}{f', in {fields}' if fields else ''}"
    return ConfigurationError(f"{root.kind}{where} cannot be stored: {text}")
