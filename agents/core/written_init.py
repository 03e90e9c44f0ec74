"""The `__init__` of an attrs class with plain fields, without the rest of what attrs makes for it.

attrs looks at all fields, makes the class a second time and compiles what it has written: 0.25 ms, of which the text of
`__init__` is a tenth. A start calls fifty such classes, and asks almost none of them for its fields. Most of them it
calls once or twice: to compile what does that takes ten times as long as to do it field by field.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType, GenericAlias
from typing import Any, Final

import attrs

__all__ = ["FIELD", "Init", "init_of"]

FIELD: Final[type[Any]] = attrs.field().__class__
"""What `field()` returns while a class is being written."""
_PLAIN: Final[Any] = attrs.field()
_MATTERS: Final = ("alias", "kw_only", "on_setattr")
"""What of a field, where it is not as in `_PLAIN`, is left to attrs."""
_MISSING: Final = object()
_SET: Final = object.__setattr__.__get__
"""A slot of a frozen value is written past its own `__setattr__`, as attrs does it."""
_NOTHING: Final = attrs.NOTHING
_BUILT_IN: Final = frozenset({deque, dict, frozenset, list, set})
_FACTORY: Final[type[Any]] = attrs.Factory  # pyright: ignore[reportAssignmentType]  # a class, whatever its stub says


class _Named:
    """What a validator is given as the attribute: that has a name, and attrs makes the rest when somebody asks."""

    __slots__ = ("_kind", "name")

    def __init__(self, kind: Any, name: str) -> None:
        self._kind, self.name = kind, name

    def __getattr__(self, item: str) -> Any:
        return getattr(getattr(attrs.fields(self._kind), self.name), item)

    def __repr__(self) -> str:
        return repr(getattr(attrs.fields(self._kind), self.name))


class _Field:
    """One field, as far as `__init__` has to know it."""

    __slots__ = ("argument", "asked", "converter", "default", "factory", "make", "name", "note", "validator")

    def __init__(self, name: str, note: Any, default: Any) -> None:
        self.name, self.argument, self.note = name, name.lstrip("_"), note
        self.asked, self.validator, self.converter, self.factory = True, None, None, None
        if default.__class__ is FIELD:
            self.asked, self.validator, self.converter = default.init, default._validator, default.converter
            default = default._default
            if self.converter is not None and self.converter.__class__ is FunctionType:
                code = self.converter.__code__
                self.note = self.converter.__annotations__.get(code.co_varnames[0]) if code.co_argcount else None
        if default.__class__ is _FACTORY:
            self.factory, self.make = default, _bare(default.factory)
            default = _NOTHING
        self.default = default


def _bare(make: Any) -> Callable[..., Any]:
    """`list` for `list[int]`, which makes the same: it tries to note on what it has made of what that is a list, which
    a list has no room for, and that takes five times as long.
    """
    return make.__origin__ if make.__class__ is GenericAlias and make.__origin__ in _BUILT_IN else make


def init_of(
    kind: Any, fields: Mapping[str, Any], defaults: Mapping[str, Any], keyword: bool, frozen: bool
) -> Init | None:
    """What attrs would write as `__init__` of `kind`; None where it takes more than what is done here.

    `fields` are those of the class, by name with their annotations, and it inherits none. `keyword`: all of them are
    given by name.
    """
    if hasattr(kind, "__attrs_pre_init__"):
        return None
    found: list[_Field] = []
    before = False
    for name, note in fields.items():
        default = defaults.get(name, _NOTHING)
        if default.__class__ is FIELD:
            for each in _MATTERS:
                if getattr(default, each, _MISSING) is not getattr(_PLAIN, each, None):
                    return None
            if not frozen and default._validator is not None:
                return None  # it is asked at each change, too
            convert = default.converter
            if convert is not None and (
                not frozen or convert.__class__ is not FunctionType or not convert.__code__.co_argcount
            ):
                return None
        each = _Field(name, note, default)
        if each.asked and not keyword:
            optional = each.factory is not None or each.default is not _NOTHING
            if before and not optional:
                return None  # attrs says what is wrong with that
            before |= optional
        found.append(each)
    return Init(kind, found, keyword, frozen)


class Init:
    """An `__init__` that can be done field by field, and written as attrs would."""

    __slots__ = ("_asked", "_fields", "_frozen", "_keyword", "_kind")

    def __init__(self, kind: Any, fields: Sequence[_Field], keyword: bool, frozen: bool) -> None:
        self._kind, self._fields, self._keyword, self._frozen = kind, fields, keyword, frozen
        self._asked = [each for each in fields if each.asked]

    def fill(self, instance: Any, given: Sequence[Any], named: Mapping[str, Any]) -> bool:
        """Do what `__init__` does with these arguments; False, and nothing is done, for those that it would refuse."""
        asked, used = self._asked, 0
        values: dict[str, Any] = {}
        if given and (self._keyword or len(given) > len(asked)):
            return False
        for place, each in enumerate(asked):
            if place < len(given):
                values[each.name] = given[place]
            elif each.argument in named:
                values[each.name] = named[each.argument]
                used += 1
            elif each.factory is None and each.default is _NOTHING:
                return False
        if used != len(named):
            return False
        kind = self._kind
        if not self._frozen:
            store: Callable[[str, Any], object] = lambda name, value: setattr(instance, name, value)  # noqa: E731
        elif "__slots__" in kind.__dict__:
            store = _SET(instance)
        else:
            store = instance.__dict__.__setitem__
        checked: list[_Field] = []
        for each in self._fields:
            value, factory = values.get(each.name, each.default), each.factory
            if factory is not None and (value is _NOTHING or not each.asked):
                value = each.make(instance) if factory.takes_self else each.make()
            elif value is _NOTHING and each.name not in values:
                continue
            store(each.name, value if each.converter is None else each.converter(value))
            if each.validator is not None:
                checked.append(each)
        if checked and not attrs.validators.get_disabled():
            for each in checked:
                assert each.validator is not None
                each.validator(instance, _Named(kind, each.name), getattr(instance, each.name))
        if hasattr(kind, "__attrs_post_init__"):
            instance.__attrs_post_init__()
        return True

    def write(self) -> FunctionType:
        """The function that attrs would write."""
        kind, frozen, keyword = self._kind, self._frozen, self._keyword
        namespace: dict[str, Any] = {
            "NOTHING": _NOTHING, "_cached_setattr_get": _SET, "_disabled": attrs.validators.get_disabled
        }  # fmt: skip
        notes: dict[str, Any] = {"return": None}
        given, lines, checks = list[str](), list[str](), list[str]()
        if not frozen:
            store = "self.{} = {}"
        elif "__slots__" in kind.__dict__:
            store = "_setattr({!r}, {})"
        else:
            store = "_inst_dict[{!r}] = {}"
        for each in self._fields:
            name, argument, put = each.name, each.argument, store
            unset = not each.asked and each.factory is None and each.default is _NOTHING
            if each.validator is not None and not unset:
                namespace[f"__attr_validator_{name}"] = each.validator
                namespace[f"__attr_{name}"] = _Named(kind, name)
                checks.append(f"    __attr_validator_{name}(self, __attr_{name}, self.{name})")
            if each.converter is not None:
                namespace[f"__attr_converter_{name}"] = each.converter
                put = store.replace("{}", f"__attr_converter_{name}({{}})")
            if each.factory is not None:
                namespace[f"__attr_factory_{name}"] = each.make
                value = f"__attr_factory_{name}({'self' if each.factory.takes_self else ''})"
                if each.asked:
                    given.append(f"{argument}=NOTHING")
                    lines += [f"if {argument} is not NOTHING:", f"    {put.format(name, argument)}", "else:", "    "]
                    lines[-1] += put.format(name, value)
                else:
                    lines.append(put.format(name, value))
            elif each.default is _NOTHING:
                if each.asked:
                    given.append(argument)
                    lines.append(put.format(name, argument))
            else:
                namespace[f"__attr_default_{name}"] = each.default
                if each.asked:
                    given.append(f"{argument}=__attr_default_{name}")
                lines.append(put.format(name, argument if each.asked else f"__attr_default_{name}"))
            if each.asked and each.note is not None:
                notes[argument] = each.note
        if frozen and lines:
            lines.insert(0, "_setattr = _cached_setattr_get(self)" if "_set" in store else "_inst_dict = self.__dict__")
        if checks:
            lines += ["if not _disabled():", *checks]
        if hasattr(kind, "__attrs_post_init__"):
            lines.append("self.__attrs_post_init__()")
        names = ", ".join(["self", *(["*"] if keyword and given else []), *given])
        text = f"def __init__({names}):\n    " + ("\n    ".join(lines) or "pass")
        exec(compile(text, f"<__init__ of {kind.__module__}.{kind.__qualname__}>", "exec"), namespace)
        made: FunctionType = namespace["__init__"]
        made.__annotations__ = notes
        made.__doc__ = f"Method generated by attrs for class {kind.__qualname__}."
        made.__module__ = kind.__module__
        made.__qualname__ = f"{kind.__qualname__}.__init__"
        return made
