"""What is installed: `treewarden/{agents,supervisor,topologies}` and nothing that other distributions own.

openai-agents owns a top-level `agents`, and supervisord a top-level `supervisor`. tests/network installs the real ones
beside ours; here two stand-ins do, without the network.
"""

from __future__ import annotations

import sys
import sysconfig
import tomllib
import zipfile
from email.parser import Parser
from typing import TYPE_CHECKING, Final

import pytest

from .wheels import FOLDERS, ROOT, build, build_source, files_of, hashes, run, site_packages

if TYPE_CHECKING:
    from pathlib import Path

PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
METADATA: Final = f"treewarden-{PROJECT['project']['version']}.dist-info"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("source"))


def packages(files: set[str]) -> set[str]:
    return {file.rpartition("/")[0] for file in files if file.endswith(".py")}


def files_of_the_folders() -> set[str]:
    return {
        f"treewarden/{file.relative_to(ROOT).as_posix()}"
        for folder in FOLDERS
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def test_pyproject_lists_every_package() -> None:
    listed: list[str] = PROJECT["tool"]["setuptools"]["packages"]
    assert listed == sorted(listed)
    assert {package.replace(".", "/") for package in listed} == packages(files_of_the_folders())


def test_the_wheel_holds_the_folders_and_nothing_else(wheel: Path) -> None:
    installed = {file for file in files_of(wheel) if ".dist-info/" not in file}
    assert installed == files_of_the_folders()
    assert {f"treewarden/{folder}/py.typed" for folder in FOLDERS} <= installed


def test_the_namespace_has_no_code(wheel: Path) -> None:
    assert {file.split("/")[0] for file in files_of(wheel)} == {"treewarden", METADATA}
    assert "treewarden" not in packages(files_of(wheel))


def test_the_core_needs_four_distributions(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = Parser().parsestr(archive.read(f"{METADATA}/METADATA").decode())
        scripts = archive.read(f"{METADATA}/entry_points.txt").decode()
    needed = [text for text in metadata.get_all("Requires-Dist", []) if "extra ==" not in text]
    assert sorted(text.split(">=")[0] for text in needed) == ["attrs", "cattrs", "trio", "trio-util"]
    assert metadata["License-Expression"] == "MIT"
    assert "treewarden = treewarden.topologies.console:main" in scripts


def test_the_source_distribution_is_the_whole_checkout(tmp_path: Path) -> None:
    """It had eight of the tests, without what they import, and neither docs nor changelog."""
    held, packed = build_source(tmp_path)
    made = {name for name in packed if name in ("PKG-INFO", "setup.cfg") or name.startswith("treewarden.egg-info/")}
    assert packed - made == held


def test_it_installs_beside_the_owners_of_the_bare_names(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    site = site_packages(python)
    for name in FOLDERS:
        (site / name).mkdir()
        (site / name / "__init__.py").write_text(f"owner = 'another distribution of {name}'\n")
    before = hashes(site)

    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "--no-deps", "--no-compile", wheel, cwd=tmp_path)
    assert {name: digest for name, digest in hashes(site).items() if name in before} == before
    program = (
        "import agents, supervisor, topologies, treewarden.agents, treewarden.supervisor, treewarden.topologies\n"
        "print(agents.owner, treewarden.agents.__file__, sep='\\n')"
    )
    dependencies = sysconfig.get_path("purelib")  # of the environment that runs the tests, for trio and attrs
    owner, ours = run(python, "-c", program, cwd=tmp_path, path=dependencies).splitlines()
    assert owner == "another distribution of agents"
    assert ours == str(site / "treewarden" / "agents" / "__init__.py")

    run(*pip, "uninstall", "--yes", "treewarden", cwd=tmp_path)
    assert hashes(site) == before
