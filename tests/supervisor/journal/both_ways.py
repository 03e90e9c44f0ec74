"""What is stored, written and read at once and in slices as short as they can be: it has to be the same, also in what
is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Never

import pytest

from treewarden.supervisor.journal import codec as codecs
from treewarden.supervisor.journal import in_slices, slices
from treewarden.supervisor.journal.codec import Codec
from treewarden.supervisor.journal.slices import Slices, at_once

__all__ = ["decoded", "each_slice", "encoded"]


def encoded(codec: Codec, value: object, most: int = 0) -> tuple[str, int, str]:
    """As `codec.encode`; slices have `most` values."""
    row: Any = None
    error: Exception | None = None
    with pytest.MonkeyPatch.context() as patch:
        with suppress(Exception):  # of what is wrong, it has the words
            codec.encode(value)
            patch.setattr(Codec, "encode_row", _again)
        patch.setattr(in_slices, "AT_ONCE", max(1, most))
        patch.setattr(codecs, "AT_ONCE", most)
        assert codec.is_wide(value) in (True, False)
        try:
            row = at_once(codec.encoding(value))
        except Exception as raised:
            error = raised
    if error is not None:
        assert _said(codec.encode, value) == repr(error)
        raise error
    assert row == codec.encode_row(value)
    return codec.encode(value)


def decoded(codec: Codec, kind: str, version: int, body: str) -> Any:
    """As `codec.decode`."""
    sliced: Any = None
    error: Exception | None = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codecs, "LIMIT", -1)
        for name in ("_SLICE", "_RUN"):
            patch.setattr(in_slices, name, 1)
        for name in ("SLICE", "_SHORT"):
            patch.setattr(slices, name, 2)
        try:
            sliced = at_once(codec.decoding(kind, version, body))
        except Exception as raised:
            error = raised
    if error is not None:
        assert _said(codec.decode, kind, version, body) == repr(error)
        raise error
    value = codec.decode(kind, version, body)
    assert (type(sliced), repr(sliced)) == (type(value), repr(value))
    return sliced


def each_slice(work: Slices[Any]) -> Iterator[Any]:
    """None for each pause, and what came of it."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            yield end.value
            return
        yield None


def _said(call: Callable[..., object], *given: object) -> str:
    """What it raises; not raised here, where it could be taken for what the test expects of the slices."""
    try:
        call(*given)
    except Exception as error:
        return repr(error)
    return ""


def _again(*_: object) -> Never:
    raise AssertionError("it failed in slices, and would be done again at once")
