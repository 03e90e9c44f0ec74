"""The types that users rely on, as pyright sees them: a case that infers something else, or an error that is no longer
one (`reportUnnecessaryTypeIgnoreComment`), fails."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parent.parent.parent
CASES: Final = Path(__file__).parent / "cases.py"


def faults(source: Path) -> list[str]:
    """What pyright says about a file, with the configuration of the project."""
    links = ROOT / "build" / "typing" / "treewarden"
    links.mkdir(parents=True, exist_ok=True)
    for package in ("agents", "supervisor", "topologies"):
        link = links / package
        if not link.exists():
            link.symlink_to(f"../../../{package}")
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", str(source)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)["generalDiagnostics"]
    return [f"{each['range']['start']['line'] + 1}: {each['message']}" for each in found]


def test_every_case_is_inferred_as_it_says() -> None:
    assert faults(CASES) == []


def test_a_case_that_is_wrong_is_noticed() -> None:
    """Or a checker that sees no types at all would pass the test above."""
    wrong = CASES.read_text("utf-8").replace("ask(Total()), int)", "ask(Total()), str)")
    wrong = re.sub(r"(await counter.ask\(Add\(1\)\)).*", r"\1", wrong)
    source = CASES.with_name("cases_gone_wrong.py")
    source.write_text(wrong, "utf-8")
    try:
        found = faults(source)
    finally:
        source.unlink()
    assert len(found) == 2
    assert '"assert_type" mismatch: expected "str" but received "int"' in found[0]
    assert '"Add" is not assignable to "Request' in found[1]
