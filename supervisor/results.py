"""What an effect returns, as it is stored: a value of the very type that it declares, and no other."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from treewarden.agents.errors import ConfigurationError, UnknownKind

from .journal.canonical import load
from .journal.codec import Codec, Encoded
from .journal.commit import ReplyRow
from .journal.declared import Declared
from .journal.shapes import kind_of

if TYPE_CHECKING:
    from .journal.slices import Slices

__all__ = ["ANSWERED", "ResultCodec", "result_codec"]

ANSWERED: Final = "answered"
"""The kind of a result that a person has given: JSON, which is read as what the effect returns."""
_KEPT: Final = 256


class ResultCodec:
    """Encodes and decodes the values of one type. Raises `ConfigurationError` for one that cannot be stored."""

    def __init__(self, returns: Any) -> None:
        members = tuple(Declared().members(returns))
        if Any in members or object in members:
            raise ConfigurationError(
                f"{kind_of(returns)} may be anything; say what it is, so that it can be read again"
            )
        self._codec = Codec((returns,))
        self._kinds = tuple(map(kind_of, members))

    def encode_row(self, value: object) -> Encoded:
        """As `Codec.encode_row`. Raises `ConfigurationError` also for a value of another type."""
        return self._as_declared(self._codec.encode_row(value))

    def is_wide(self, value: object) -> bool:
        """As `Codec.is_wide`."""
        return self._codec.is_wide(value)

    def left(self, value: object, room: int) -> int:
        """As `Codec.left`."""
        return self._codec.left(value, room)

    def encoding(self, value: object) -> Slices[Encoded]:
        """As `encode_row`, in slices, as `Codec.encoding`."""
        return self._as_declared((yield from self._codec.encoding(value)))

    def _as_declared(self, encoded: Encoded) -> Encoded:
        if encoded[0] not in self._kinds:
            raise ConfigurationError(f"it is {encoded[0]}, and {' or '.join(self._kinds)} was declared")
        return encoded

    def read(self, data: object) -> Any:
        """The value that a person describes with JSON. Raises `ConfigurationError` for what does not fit."""
        faults: list[str] = []
        for kind in self._kinds:
            try:
                return self._codec.read(kind, data)
            except ConfigurationError as error:
                faults.append(str(error))
        raise ConfigurationError("; ".join(faults))

    def decode(self, row: ReplyRow) -> Any:
        """The value that was stored. Raises `UnknownKind` for one that this code cannot read."""
        if row.kind != ANSWERED:
            return self._codec.decode(row.kind, row.version, row.body)
        try:
            return self.read(load(row.body))
        except ConfigurationError as error:
            raise UnknownKind(f"what a person has said came of it does not fit, say it again: {error}") from error

    def decoding(self, row: ReplyRow) -> Slices[Any]:
        """As `decode`, in slices, as `Codec.decoding`; for what no person has said."""
        return self._codec.decoding(row.kind, row.version, row.body)


@lru_cache(_KEPT)
def result_codec(returns: Any) -> ResultCodec:
    """The same for all effects of a type. Raises `ConfigurationError` for a type that cannot be stored."""
    return ResultCodec(returns)
