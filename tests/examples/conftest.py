"""The examples are scripts beside their TOML file: their folder is on the path, as it is for `treewarden run`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "watchdog"))
