"""Stored data that has not exactly the fields of its class, by cattrs: defaults, and words for what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import cattrs
from cattrs.errors import BaseValidationError
from cattrs.gen import make_dict_structure_fn

from treewarden.agents.core.said import shown

from .scalars import Mismatch, Refused, Shape

__all__ = ["Structuring"]


class Structuring:
    """Makes values of classes from data; `shape` says what their fields are. Raises `Mismatch` naming what is wrong."""

    def __init__(self, shape: Callable[[Any], Shape]) -> None:
        self._shape = shape
        self._reads: dict[type, Callable[[Any, Any], Any]] = {}
        self._converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)
        self._converter.register_structure_hook_factory(_always, self._hook)

    def structured(self, kind: type[Any], name: str, types: Iterable[Any], data: dict[str, Any]) -> Any:
        """The value of `kind`, which is stored as `name` and has fields of these types."""
        read = self._reads.get(kind)
        if read is None:
            for each in types:
                if isinstance(each, type):
                    # By name: cattrs looks at its own hooks for int, str and their like before it asks a factory.
                    self._converter.register_structure_hook(each, self._hook(each))
            read = self._reads[kind] = make_dict_structure_fn(kind, self._converter)
        try:
            return read(data, kind)
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
    if not isinstance(error, KeyError):
        with suppress(Exception):  # an error of the class's own may be one that cannot be put into words
            return cattrs.v.format_exception(error, _declared)
    return f"the class refused it: {shown(error)}"
