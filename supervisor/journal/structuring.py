"""Stored data that has not exactly the fields of its class, by cattrs: defaults, and words for what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, Generic, get_origin

import cattrs
from cattrs.errors import BaseValidationError, ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn, override

from treewarden.agents.core.said import shown

from .scalars import Mismatch, Refused, Shape

__all__ = ["Structuring"]

_ITS_OWN: Final = frozenset({"cl", "converter"})
"""Names of fields under which cattrs takes something else."""


class Structuring:
    """Makes values of classes from data; `shape` says what their fields are. Raises `Mismatch` naming what is wrong."""

    def __init__(self, shape: Callable[[Any], Shape]) -> None:
        self._shape = shape
        self._reads: dict[Any, Callable[[Any, Any], Any]] = {}
        self._converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)
        self._converter.register_structure_hook_factory(_always, self._hook)

    def structured(self, given: Any, name: str, types: Mapping[str, Any], data: dict[str, Any]) -> Any:
        """The value of a class, or of a generic one with its arguments, which is stored as `name`; the types of its
        fields."""
        read = self._reads.get(given)
        if read is None:
            for each in types.values():
                if isinstance(each, type):
                    # By name: cattrs looks at its own hooks for int, str and their like before it asks a factory.
                    self._converter.register_structure_hook(each, self._hook(each))
            hooks: dict[str, Any] = {}
            if Generic in (get_origin(given) or given).__mro__:  # cattrs knows one meaning of each type parameter
                hooks = {
                    field: override(struct_hook=self._hook(each))
                    for field, each in types.items()
                    if field not in _ITS_OWN
                }
            read = self._reads[given] = make_dict_structure_fn(given, self._converter, **hooks)
        try:
            return read(data, given)
        except BaseValidationError as error:
            raise Mismatch("; ".join(cattrs.transform_error(error, name, _sentence))) from error
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # the class's own checks
            raise Mismatch(f"{name} refused it: {shown(error)}") from error

    def _hook(self, declared: Any) -> Callable[[Any, Any], Any]:
        decode = self._shape(declared).decode

        def read(data: Any, _declared: Any) -> Any:
            if data.__class__ is Refused:
                raise data.found
            return decode(data)

        return read


def _always(_declared: Any) -> bool:
    return True


def _sentence(error: BaseException, _declared: Any) -> str:
    if isinstance(error, Mismatch):
        return str(error)
    if isinstance(error, KeyError) and getattr(error, "__notes__", ()):  # which cattrs gives to its own
        return "a required field is missing"
    if isinstance(error, ForbiddenExtraKeysError):
        return cattrs.v.format_exception(error, _declared)
    if isinstance(error, ValueError):  # how a class says what it does not take
        with suppress(Exception):  # one may be such that it cannot be put into words
            return f"the class refused it: {error}"
    return f"the class refused it: {shown(error)}"
