"""One codec and several trees, each in a thread of its own."""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator

import pytest

from treewarden.agents import Happened
from treewarden.supervisor.journal.codec import Codec


@pytest.fixture
def many_switches() -> Generator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("many_switches")
def test_what_comes_late_is_known_to_all_threads_at_once() -> None:
    codecs = [Codec((), late=(Happened,)) for _ in range(50)]
    together = threading.Barrier(4, timeout=30)
    failed: list[BaseException] = []

    def encode() -> None:
        for codec in codecs:
            together.wait()
            try:
                assert codec.knows(Happened("x"))
                codec.encode(Happened("x"))
                codec.read("treewarden.agents.core.message:Happened", {"event": "x", "value": None})
            except BaseException as error:
                failed.append(error)

    threads = [threading.Thread(target=encode) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert failed == []
