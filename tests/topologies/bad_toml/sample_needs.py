"""Needs a module that nobody has."""

import nonesuch_of_theirs  # noqa: F401  # pyright: ignore[reportMissingImports, reportUnusedImport]
