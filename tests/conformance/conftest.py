"""The runner is a script, and its parts stand beside it: their folder is on the path, as it is when it is called."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
