"""Fails while it is imported."""

SHARE = 1 / 0
