"""From a declared type to its shape. What cannot be stored is refused here, before the first value comes."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import attrs
from attrs import field

from treewarden.agents.core.said import shown
from treewarden.agents.core.values import frozen
from treewarden.agents.errors import ConfigurationError

from .scalars import NONE, Mismatch, Refused, Shape, enum_shape, former_names, has_fields, mismatch, unwrapped
from .shapes import (
    in_more_calls,
    in_more_slices,
    in_one_spelling,
    items_shape,
    kind_of,
    mapping_shape,
    record_shape,
    scalar_shape,
    union_shape,
)

if TYPE_CHECKING:
    from treewarden.agents.core.upcasts import Upcasts

    from .slices import Slices
    from .structuring import Structuring

__all__ = ["Declared", "OtherVersion", "Versions", "version_of"]

_VERSION_KEY: Final = "$v"
"""Where an inner value keeps the version of its class, if that is not 1. A root's version is stored beside it."""


class OtherVersion(Mismatch):
    """Stored data of a version from which no way leads to that of the class at hand."""

    def __init__(self, text: str, remedy: str, where: str = "") -> None:
        super().__init__(text, where)
        self.remedy = remedy

    def within(self, outer: str) -> OtherVersion:
        return OtherVersion(self.text, self.remedy, outer + self.where)


@frozen
class Versions:
    """The versions of one class, and how older data becomes that of today."""

    kind: str
    now: int = 1
    upcasts: Upcasts = field(factory=dict[int, Any])

    def bring_up(self, data: Any, version: int) -> Any:
        """`data` of `version` as data of today. Raises `OtherVersion` where there is no way."""
        if version == self.now:
            return data
        if version > self.now or version < 1:
            raise OtherVersion(
                f"version {version} of {self.kind} is not known here, where it has version {self.now}",
                f"start the code that has version {version}",
            )
        fields = _check_fields(self.kind, data)
        for step in range(version, self.now):
            upcast = self.upcasts.get(step)
            if upcast is None:
                raise OtherVersion(
                    f"{self.kind} has version {self.now} here, and no upcast from version {step}",
                    f"give its __upcasts__ a function under {step}",
                )
            try:
                fields = upcast(fields)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # to end the process is nothing that an upcast is asked for
                raise OtherVersion(
                    f"the upcast of {self.kind} from version {step} failed: {shown(error)}", "mend it"
                ) from error
        return fields


class Declared:
    """The shapes of all types that one codec stores; a class is looked at once, and may hold itself."""

    def __init__(self) -> None:
        self.shapes: dict[Any, Shape] = {}
        self._bodies: dict[type, Shape] = {}
        self._versions: dict[type, Versions] = {}
        self._structuring: Structuring | None = None

    def members(self, declared: Any) -> Iterator[Any]:
        """The types that values of `declared` have: the members of a union, else itself."""
        declared = unwrapped(declared)
        if get_origin(declared) in (Union, types.UnionType):
            for member in get_args(declared):
                yield from self.members(member)
        else:
            yield in_one_spelling(declared)

    def versions(self, declared: Any) -> Versions:
        """The versions of a class; of other types there is one."""
        self.shape(declared)
        return self._versions.get(declared) or Versions(kind_of(declared))

    def body(self, declared: Any) -> Shape:
        """As `shape`, for a type that is stored on its own, with its version beside it."""
        shape = self.shape(declared)
        return self._bodies.get(declared, shape)

    def shape(self, declared: Any) -> Shape:
        """How values of this type are stored. Raises `ConfigurationError` naming the type."""
        declared = unwrapped(declared)
        try:
            known = self.shapes.get(declared)
        except TypeError:  # not hashable, so not a type
            raise _refused(declared) from None
        if known is None:
            known = self.shapes[declared] = self._new(declared)
        return known

    def _new(self, declared: Any) -> Shape:
        if declared is Any or declared is object:
            from .plain import PLAIN  # most processes say of all that they store what it is

            return PLAIN
        if declared is None or declared is type(None):
            return NONE
        origin, arguments = get_origin(declared), get_args(declared)
        if origin is None and isinstance(declared, type):
            return self._of_class(declared)
        if origin is not None and not hasattr(declared, "__args__"):
            return self.shape(origin)  # `typing.List`, as `list`
        name = kind_of(declared)
        if origin in (Union, types.UnionType, Literal):
            members = (declared,) if origin is Literal else tuple(map(unwrapped, arguments))
            if any(self.shape(member).name == "Any" for member in members if member is not declared):
                return self.shape(Any)
            try:
                if any(get_origin(member) is Literal for member in members):
                    from .literals import union_with_literals  # few programs have any

                    return union_with_literals(name, members, self.shape)
                return union_shape(name, tuple(map(self.shape, members)))
            except ValueError as error:
                raise ConfigurationError(f"{name} cannot be stored: {error}; wrap one of them in a class") from error
        if origin is tuple:
            if len(arguments) == 2 and arguments[1] is Ellipsis:
                return items_shape(name, tuple, self.shape(arguments[0]))
            return record_shape(name, tuple(self.shape(argument) for argument in arguments))
        if origin in (list, set, frozenset):
            return items_shape(name, origin, self.shape(arguments[0]))
        if origin in (dict, Mapping):
            return mapping_shape(name, self.shape(arguments[0]), self.shape(arguments[1]))
        if has_fields(origin):
            given = in_one_spelling(declared)
            return self._of_fields(given) if given == declared else self.shape(given)
        raise _refused(declared)

    def _of_class(self, kind: type[Any]) -> Shape:
        known = scalar_shape(kind)
        if known is not None:
            return known
        if issubclass(kind, Enum):
            return enum_shape(kind, kind_of(kind))
        if kind in (tuple, list, set, frozenset):
            return items_shape(kind.__name__, kind, self.shape(Any))
        if kind is dict:
            return mapping_shape("dict", self.shape(Any), self.shape(Any))
        if has_fields(kind):
            return self._of_fields(kind)
        raise _refused(kind)

    def _of_fields(self, given: Any) -> Shape:
        """`given`: a class, or a generic one with its arguments."""
        kind: type[Any] = get_origin(given) or given
        name, versions = kind_of(given), _versions_of(kind)
        declared, named, old = _declared_fields(kind, given), _parameters(kind), former_names(kind, name)

        def encode(value: Any) -> Any:
            if type(value) is not kind:
                raise mismatch(name, value)
            data: dict[str, Any] = {}
            field_name = ""
            try:
                for field_name, write in writes:
                    data[field_name] = write(getattr(value, field_name))
            except Mismatch as found:
                raise found.within(f".{field_name}") from None
            return data

        def decode(data: Any) -> Any:
            if data.__class__ is dict and data.keys() == fields.keys():
                values: dict[str, Any] = {}
                field_name = ""
                try:
                    for field_name, read in reads:
                        values[named[field_name]] = read(data[field_name])
                    return kind(**values)
                except RecursionError:
                    raise
                except Mismatch as found:  # not looked at again: at each depth that would double what it costs
                    data = {**data, field_name: Refused(found)}
                except KeyboardInterrupt:
                    raise
                except BaseException:
                    pass  # what is wrong is said below
            return self._structured(given, name, declared, _check_fields(name, data))

        def slices(data: Any) -> Slices[Any]:
            from .in_slices import decoded  # with the first long value of a process, here and below

            given: dict[str, Any] = {}
            for field_name, value in _check_fields(name, data).items():
                if field_name not in fields:
                    raise mismatch(name, data)
                given[named[field_name]] = yield from decoded(fields[field_name], value)
            try:
                return kind(**given)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                raise mismatch(name, data) from error

        def left_of_fields(value: Any, room: int) -> int:
            room -= weight
            if type(value) is kind:
                for field_name, left in deep:
                    if room < 0:
                        break
                    room = left(getattr(value, field_name), room)
            return room

        def parts(value: Any) -> Slices[Any]:
            if type(value) is not kind:
                raise mismatch(name, value)
            from .in_slices import encoded

            data: dict[str, Any] = {}
            for field_name, shape in fields.items():
                data[field_name] = yield from encoded(shape, getattr(value, field_name))
                if shape.left is not None:
                    yield
            return data

        def encode_inner(value: Any) -> Any:
            return {**encode(value), _VERSION_KEY: versions.now}

        def inner_parts(value: Any) -> Slices[Any]:
            return {**(yield from parts(value)), _VERSION_KEY: versions.now}

        def today(data: Any) -> Any:
            stored = _check_fields(name, data)
            version = stored.get(_VERSION_KEY, 1)
            if type(version) is not int:
                raise mismatch("a version", version)
            return versions.bring_up({key: item for key, item in stored.items() if key != _VERSION_KEY}, version)

        def decode_inner(data: Any) -> Any:
            return decode(today(data))

        def inner_slices(data: Any) -> Slices[Any]:
            return slices(today(data))

        def made(*, inner: bool, left: Any = left_of_fields, **known: Any) -> Shape:
            write, pieces = (encode_inner, inner_parts) if inner and versions.now > 1 else (encode, parts)
            read, sliced = (decode_inner, inner_slices) if inner else (decode, slices)
            if inner and left is not None:  # it may hold its own class
                write, pieces = in_more_calls(write), in_more_slices(pieces)
            known |= {"left": left, "parts": left and pieces, "formerly": old}
            return Shape(name, (kind,), write, read, slices=sliced, **known)

        self._versions[given] = versions
        # Known before its fields are looked at: they may hold the class itself.
        self.shapes[given], self._bodies[given] = made(inner=True), made(inner=False)
        try:
            fields = self._fields(name, declared)
        except BaseException:
            del self.shapes[given], self._bodies[given]
            raise
        deep = tuple((field_name, shape.left) for field_name, shape in fields.items() if shape.left is not None)
        weight = 1 + sum(shape.weight for shape in fields.values() if shape.left is None)
        if deep:
            self._bodies[given] = made(inner=False, open_fields=tuple([field_name for field_name, _ in deep]))
        else:
            few = all(shape.bare or shape.text for shape in fields.values())
            texts = tuple([field_name for field_name, shape in fields.items() if shape.text]) if few else None
            self.shapes[given] = made(inner=True, weight=weight, left=None)
            self._bodies[given] = made(inner=False, weight=weight, left=None, texts=texts)
        writes = tuple((field_name, shape.encode) for field_name, shape in fields.items())
        reads = tuple((field_name, shape.decode) for field_name, shape in fields.items())
        return self.shapes[given]

    def _fields(self, name: str, declared: Mapping[str, Any]) -> dict[str, Shape]:
        shapes: dict[str, Shape] = {}
        for field_name, field_type in declared.items():
            if field_type is None:
                raise ConfigurationError(f"{name}.{field_name} cannot be stored: it declares no type")
            try:
                shapes[field_name] = self.shape(field_type)
            except ConfigurationError as error:
                raise ConfigurationError(f"{name}.{field_name}: {error}") from error
        return shapes

    def _structured(self, given: Any, name: str, types: Mapping[str, Any], data: dict[str, Any]) -> Any:
        """What `data` says of `given`, if it has not exactly its fields, or something is wrong with one."""
        if self._structuring is None:
            from .structuring import Structuring  # cattrs, which most processes never need

            self._structuring = Structuring(self.shape)
        return self._structuring.structured(given, name, types, data)


def _declared_fields(kind: type[Any], given: Any) -> dict[str, Any]:
    """The types of the fields that its constructor takes, by name; None where none is declared."""
    try:
        if attrs.has(kind):
            resolved: Any = attrs.resolve_types(kind)
            found = {attribute.name: attribute.type for attribute in attrs.fields(resolved) if attribute.init}
        else:
            from dataclasses import fields  # most programs have none

            hints = get_type_hints(kind, include_extras=True)
            found = {attribute.name: hints[attribute.name] for attribute in fields(kind) if attribute.init}
    except NameError as error:
        raise ConfigurationError(
            f"{kind_of(kind)} cannot be stored: {error}, so the types of its fields are not known; define it, and what "
            "it names, at the top of a module and not under TYPE_CHECKING"
        ) from error
    if any(isinstance(each, TypeVar) or getattr(each, "__parameters__", ()) for each in found.values()):
        from .bound import bound  # most programs have no generic ones

        return bound(given, found)
    return found


def _parameters(kind: type[Any]) -> dict[str, str]:
    """What its constructor calls each of its fields."""
    if attrs.has(kind):
        return {attribute.name: attribute.alias or attribute.name for attribute in attrs.fields(kind)}
    from dataclasses import fields

    return {attribute.name: attribute.name for attribute in fields(kind)}


def _check_fields(name: str, data: Any) -> dict[str, Any]:
    if data.__class__ is not dict:
        raise mismatch(name, data)
    return data


def version_of(kind: type) -> int:
    """The version that a class says it has. Raises `ConfigurationError` for what is none."""
    now: Any = getattr(kind, "__version__", 1)
    if type(now) is not int or now < 1:
        raise ConfigurationError(f"{kind_of(kind)}.__version__ is {now!r}; it must be a whole number, 1 or more")
    return now


def _versions_of(kind: type) -> Versions:
    name, now = kind_of(kind), version_of(kind)
    upcasts: Any = getattr(kind, "__upcasts__", cast("Mapping[Any, Any]", {}))
    if not hasattr(upcasts, "items"):
        raise ConfigurationError(f"{name}.__upcasts__ is {upcasts!r}; it must map a version to a function")
    for version, upcast in upcasts.items():
        if type(version) is not int or not 1 <= version < now or not callable(upcast):
            raise ConfigurationError(
                f"{name}.__upcasts__ has {version!r}; it must map versions from 1 to {now - 1} to functions"
            )
    return Versions(name, now, upcasts)


def _refused(declared: Any) -> ConfigurationError:
    if isinstance(declared, TypeVar):
        return ConfigurationError(
            f"{kind_of(declared)} cannot be stored: of a generic class nobody can tell what it holds; say so, as in "
            "Box[int], or for a message in a class below that"
        )
    return ConfigurationError(
        f"{kind_of(declared)} cannot be stored: use attrs classes or dataclasses, None, bool, int, float, str, bytes, "
        "times, Decimal, UUID, enums, literals, paths, and tuples, lists, sets, dicts and unions of these"
    )
