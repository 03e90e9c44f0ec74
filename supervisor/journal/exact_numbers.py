"""How `Decimal` and `UUID` are stored, for processes that use them."""

from __future__ import annotations

from decimal import Decimal
from typing import Final
from uuid import UUID

from .scalars import Mismatch, Shape, as_text

__all__ = ["EXACT"]


def _decimal(value: Decimal) -> str:
    if value.is_nan():
        raise Mismatch("a Decimal that is NaN cannot be stored: it is not equal to what would be read back")
    return str(value)


EXACT: Final[dict[type, Shape]] = {Decimal: as_text(Decimal, Decimal, _decimal), UUID: as_text(UUID, UUID)}
