"""What the command takes, and what it says to what it does not take."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

import pytest

from treewarden.supervisor.core.event import EVENTS
from treewarden.topologies.cli import main
from treewarden.topologies.commands.arguments import parser


@pytest.mark.parametrize(
    "words",
    [
        "run",
        "check",
        "tree",
        "journal show",
        "journal verify",
        "journal check-code",
        "journal export",
        "journal import",
        "journal fork",
        "journal move",
        "journal blobs",
        "journal compact",
        "journal prune",
        "why",
        "trace",
        "journal",
        "label",
        "policy check",
        "recovery",
        "send",
        "ask",
        "signal",
        "stop",
        "hold",
        "resume",
        "run-now",
        "effects",
        "answer",
        "dead-letters",
        "replay",
        "perform",
        "drain",
        "roll-back",
        "chaos",
        "chaos run",
        "chaos own",
        "checkpoint",
        "checkpoint list",
        "checkpoint search",
        "checkpoint show",
        "checkpoint diff",
        "checkpoint keep",
    ],
)
def test_every_word_explains_itself_with_an_example(
    words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*words.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert f"example:\n  treewarden {words}" in text
    assert not [line for line in text.splitlines() if len(line) > 80]


def test_the_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for part in ("run", "check", "tree", "journal", "why", "exit codes:", "130  ended by force"):
        assert part in text


def test_the_version_is_that_of_the_installation(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"treewarden {version('treewarden')}\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("", "WORD"),
        ("dance", "invalid choice: 'dance'"),
        ("run", "FILE.toml"),
        ("run a.toml --for soon", "'soon' is no number of seconds"),
        ("run a.toml --for 0", "0 is no time to wait"),
        ("run a.toml --for inf", "inf is no time to wait"),
        ("run a.toml --for nan", "nan is no time to wait"),
        ("run a.toml --for -1", "no time to wait"),
        ("run a.toml --journal :memory:", "':memory:' can be no journal; give the name of a file, as 'desk.db'"),
        ("run a.toml --jour x.db", "there is no option --jour; did you mean '--journal'?"),
        ("run a.toml --colour", "unrecognized arguments: --colour"),
        ("approve a.db desk --kye=3", "there is no option --kye; did you mean '--key'?"),
        ("tree a.db -json", "there is no option -json; did you mean '--json'?"),
        ("chek a.toml", "there is no 'chek'; did you mean 'check'?"),
        ("journal verfy a.db", "there is no 'verfy'; did you mean 'verify'?"),
        ("verify a.db", "there is no 'verify'; did you mean 'journal verify'?"),
        ("show a.db", "there is no 'show'; did you mean 'journal show' or 'checkpoint show'?"),
        ("journal", "DEED: show, verify, check-code, export, "),
        ("checkpoint", "DEED: list, search, show, diff, keep"),
        ("chaos", "DEED: run, sweep, label, replay, "),
        ("policy", "DEED: check\n"),
        ("journal show a.db --last 0", "0 is too few"),
        ("journal show a.db --last 1.5", "'1.5' is no whole number"),
        ("journal show a.db --kind childended2", "there is no event 'childended2'; there is ChildEnded"),
        ("journal show a.db --kind x", ", ".join(sorted(EVENTS))),
        ("journal show a.db --path a//b", "'' cannot name a slot"),
        ("journal show a.db --since never", "'never' is no number of seconds"),
        ("why a.db", "PATH"),
        ("why a.db desk/*", "'*' cannot name a slot"),
    ],
)
def test_a_wrong_call_is_refused(arguments: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments.split()) == 2
    captured = capsys.readouterr()
    assert complaint in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("value", ["-jour", "--jour", "-1", "--jour=x", "a --jour"])
def test_what_is_no_option_is_not_taken_for_a_mistyped_one(value: str) -> None:
    """A place may hold what begins with a dash, behind `--` or with a blank in it."""
    behind = [value] if " " in value else ["--", value]
    assert parser().parse_args(["send", "desk.db", "desk", "Note", *behind]).data == value


def test_kinds_are_found_in_any_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["journal", "show", str(tmp_path / "no.db"), "--kind", "childended"]) == 2
    assert capsys.readouterr().err == (
        f"treewarden: there is no journal {tmp_path / 'no.db'}: give the file that a tree was started with\n"
    )


@pytest.mark.parametrize("word", ["tree", "why", "journal show", "journal verify", "journal check-code"])
def test_a_file_that_is_no_journal_is_refused(word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "notes.db"
    file.write_text("not a database, though it is long enough to be looked at" * 10)
    assert main([*word.split(), str(file), *(["/"] if word == "why" else [])]) == 2
    captured = capsys.readouterr()
    assert captured.err == (
        f"treewarden: {file} is not a treewarden journal: it is no SQLite database. Name another file\n"
    )
    assert captured.out == ""


_INTERRUPTED = """
import importlib.abc, os, signal, sys

class Press(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)

module, sys.argv[1:] = sys.argv[1], ["tree", "desk.db"]
sys.meta_path.insert(0, Press())
from treewarden.topologies.console import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    "module",
    ["treewarden.topologies.cli", "treewarden.topologies.commands.words", "treewarden.topologies.commands.tree"],
)
def test_ctrl_c_while_it_begins_is_quiet(module: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _INTERRUPTED, module], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "treewarden: interrupted\n")


def test_ctrl_c_while_it_begins_needs_no_stderr(tmp_path: Path) -> None:
    command = ["sh", "-c", 'exec "$0" "$@" 2>&-', sys.executable, "-c", _INTERRUPTED, "treewarden.topologies.cli"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (130, "")


def test_ctrl_c_while_the_arguments_are_parsed_is_quiet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pressed() -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr("treewarden.topologies.cli.parser", pressed)
    assert main(["tree", "desk.db"]) == 130
    assert capsys.readouterr().err == "treewarden: interrupted\n"


def test_what_only_one_option_needs_is_imported_with_it() -> None:
    """Each word of the command is waited for, also `--help`."""
    program = "import sys, treewarden.topologies.commands.arguments; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    ours = [name for name in loaded if name.startswith(("treewarden.agents.", "treewarden.supervisor."))]
    assert "treewarden.agents.core.path" in ours
    assert not {"treewarden.agents.errors", "treewarden.supervisor.journal"}.intersection(ours)
