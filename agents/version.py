"""Which treewarden this is."""

from __future__ import annotations

from typing import Final

__all__ = ["VERSION"]

VERSION: Final = "0.1.0"
"""As in `pyproject.toml`. To look it up among the installed packages would take longer than to open a tree."""
