"""The wheel beside the real openai-agents and supervisor, in a fresh environment. `make test-beside` runs it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from ..wheels import build, hashes, site_packages

if TYPE_CHECKING:
    from pathlib import Path

OURS = ("treewarden/", "treewarden-")


def install(python: Path, *what: str | Path) -> None:
    """With this process's environment, which may say where the index is."""
    subprocess.run([python, "-m", "pip", "install", "--quiet", *what], check=True)


def test_it_touches_no_file_of_theirs(tmp_path: Path) -> None:
    wheel = build(tmp_path / "source")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    site = site_packages(python)
    install(python, "openai-agents", "supervisor", "trio", "trio-util", "attrs", "cattrs")
    before = hashes(site)
    assert "agents/__init__.py" in before
    assert "supervisor/supervisord.py" in before

    install(python, "--no-deps", wheel)
    after = hashes(site)
    added = after.keys() - before.keys()
    assert {name: after.get(name) for name in before} == before
    assert added
    assert all(name.startswith(OURS) for name in added)

    program = (
        "import agents, supervisor.supervisord, treewarden.agents, treewarden.supervisor, treewarden.topologies\n"
        "assert agents.Agent is not getattr(treewarden.agents, 'Agent', None)\n"
        "assert agents.Runner and supervisor.supervisord.Supervisor"
    )
    subprocess.run([python, "-I", "-B", "-c", program], check=True, cwd=tmp_path)
    scripts = {file.name for file in (tmp_path / "venv" / "bin").iterdir()}
    assert {"treewarden", "supervisord", "supervisorctl"} <= scripts

    subprocess.run([python, "-m", "pip", "uninstall", "--quiet", "--yes", "treewarden"], check=True)
    assert hashes(site) == before
