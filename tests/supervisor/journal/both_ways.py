"""What is stored, read at once and in slices as short as they can be: it has to be the same, also in what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from treewarden.supervisor.journal import codec as codecs
from treewarden.supervisor.journal import shapes, slices
from treewarden.supervisor.journal.codec import Codec
from treewarden.supervisor.journal.slices import at_once

__all__ = ["decoded"]


def decoded(codec: Codec, kind: str, version: int, body: str) -> Any:
    """As `codec.decode`."""
    sliced: Any = None
    error: Exception | None = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codecs, "LIMIT", -1)
        for name in ("_SLICE", "_RUN"):
            patch.setattr(shapes, name, 1)
        for name in ("SLICE", "_SHORT"):
            patch.setattr(slices, name, 2)
        try:
            sliced = at_once(codec.decoding(kind, version, body))
        except Exception as raised:
            error = raised
    if error is not None:
        with pytest.raises(type(error)) as raised:
            codec.decode(kind, version, body)
        assert str(raised.value) == str(error)
        raise error
    value = codec.decode(kind, version, body)
    assert (type(sliced), repr(sliced)) == (type(value), repr(value))
    return sliced
