"""Where the time of one case goes: pyinstrument if it is installed, else cProfile."""

from __future__ import annotations

import cProfile
import importlib
import io
import pstats
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

import trio
from harness import Case, Measured, Run, once

__all__ = ["profiled"]

_FUNCTIONS: Final = 30


def profiled(case: Case, size: int) -> str:
    """Run `case` once under a profiler, which sees the timed part only. cProfile makes calls look dear."""
    statistical = _pyinstrument()
    if statistical is not None:
        measured = trio.run(once, case, Run(size, lambda: _sampling(statistical)))
        return f"{_said(measured)}\n{statistical.output_text(unicode=True, color=False)}"
    profile = cProfile.Profile()
    measured = trio.run(once, case, Run(size, lambda: _counting(profile)))
    out = io.StringIO()
    pstats.Stats(profile, stream=out).strip_dirs().sort_stats("tottime").print_stats(_FUNCTIONS)
    return f"{_said(measured)}\n{out.getvalue()}"


def _said(measured: Measured) -> str:
    each = measured.cpu / max(1, measured.count) * 1e6
    return f"{measured.count:,} pieces in {measured.cpu:.3f} s of CPU under the profiler, {each:.2f} µs each"


def _pyinstrument() -> Any | None:
    try:
        return importlib.import_module("pyinstrument").Profiler(interval=0.0005, async_mode="disabled")
    except ImportError:
        return None


@contextmanager
def _sampling(profiler: Any) -> Generator[None]:
    profiler.start()
    try:
        yield
    finally:
        profiler.stop()


@contextmanager
def _counting(profile: cProfile.Profile) -> Generator[None]:
    profile.enable()
    try:
        yield
    finally:
        profile.disable()
