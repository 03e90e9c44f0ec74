"""What a client of a world's tree gets when nobody can know what became of its call."""

from __future__ import annotations

__all__ = ["Lost"]


class Lost(Exception):
    """What was asked of the tree came to nothing that the asker can know: its process died."""
