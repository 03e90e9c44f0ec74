"""The `__init__` of an attrs class with plain fields, without the rest of what attrs makes for it.

attrs looks at all fields, makes the class a second time and compiles what it has written: 0.25 ms, of which the text of
`__init__` is a tenth. A start calls fifty such classes, and asks almost none of them for its fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import FunctionType
from typing import Any, Final

import attrs

__all__ = ["FIELD", "written_init"]

FIELD: Final[type[Any]] = attrs.field().__class__
"""What `field()` returns while a class is being written."""
_PLAIN: Final[Any] = attrs.field()
_MATTERS: Final = ("alias", "kw_only", "on_setattr")
"""What of a field, where it is not as in `_PLAIN`, is left to attrs."""
_MISSING: Final = object()
_SET: Final = object.__setattr__.__get__
"""A slot of a frozen value is written past its own `__setattr__`, as attrs does it."""


class _Named:
    """What a validator is given as the attribute: that has a name, and attrs makes the rest when somebody asks."""

    __slots__ = ("_kind", "name")

    def __init__(self, kind: Any, name: str) -> None:
        self._kind, self.name = kind, name

    def __getattr__(self, item: str) -> Any:
        return getattr(getattr(attrs.fields(self._kind), self.name), item)

    def __repr__(self) -> str:
        return repr(getattr(attrs.fields(self._kind), self.name))


def written_init(
    kind: Any, fields: Mapping[str, Any], defaults: Mapping[str, Any], keyword: bool, frozen: bool
) -> FunctionType | None:
    """What attrs would write as `__init__` of `kind`; None where it takes more than what is done here.

    `fields` are those of the class, by name with their annotations, and it inherits none. `keyword`: all of them are
    given by name.
    """
    if hasattr(kind, "__attrs_pre_init__"):
        return None
    namespace: dict[str, Any] = {
        "NOTHING": attrs.NOTHING, "_cached_setattr_get": _SET, "_disabled": attrs.validators.get_disabled
    }  # fmt: skip
    notes: dict[str, Any] = {"return": None}
    given, lines, checks, before = list[str](), list[str](), list[str](), False
    if not frozen:
        store = "self.{} = {}"
    elif "__slots__" in kind.__dict__:
        store = "_setattr({!r}, {})"
    else:
        store = "_inst_dict[{!r}] = {}"
    for name, note in fields.items():
        default, asked, put = defaults.get(name, attrs.NOTHING), True, store
        if default.__class__ is FIELD:
            for each in _MATTERS:
                if getattr(default, each, _MISSING) is not getattr(_PLAIN, each, None):
                    return None
            if default._validator is not None:
                if not frozen:
                    return None  # it is asked at each change, too
                namespace[f"__attr_validator_{name}"] = default._validator
                namespace[f"__attr_{name}"] = _Named(kind, name)
                checks.append(f"    __attr_validator_{name}(self, __attr_{name}, self.{name})")
            convert = default.converter
            if convert is not None:
                if not frozen or convert.__class__ is not FunctionType or not convert.__code__.co_argcount:
                    return None
                namespace[f"__attr_converter_{name}"] = convert
                put = store.replace("{}", f"__attr_converter_{name}({{}})")
                note = convert.__annotations__.get(convert.__code__.co_varnames[0])
            default, asked = default._default, default.init
        argument = name.lstrip("_")
        value = argument
        if isinstance(default, attrs.Factory):  # pyright: ignore[reportArgumentType]  # a class, whatever its stub says
            namespace[f"__attr_factory_{name}"] = default.factory
            value = f"__attr_factory_{name}({'self' if default.takes_self else ''})"
            if asked:
                given.append(f"{argument}=NOTHING")
                lines += [f"if {argument} is not NOTHING:", f"    {put.format(name, argument)}", "else:", "    "]
                lines[-1] += put.format(name, value)
            else:
                lines.append(put.format(name, value))
        elif default is attrs.NOTHING:
            if asked and before and not keyword:
                return None  # attrs says what is wrong with that
            if asked:
                given.append(argument)
                lines.append(put.format(name, argument))
        else:
            namespace[f"__attr_default_{name}"] = default
            if asked:
                given.append(f"{argument}=__attr_default_{name}")
            lines.append(put.format(name, argument if asked else f"__attr_default_{name}"))
        if asked:
            if note is not None:
                notes[argument] = note
            before |= default is not attrs.NOTHING
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
