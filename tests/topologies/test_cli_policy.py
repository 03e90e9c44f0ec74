"""`treewarden policy check`: rules that are proven, and files without any."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from treewarden.topologies.cli import main

RULES = """\
otherwise = "otp"
rules = [
  { context = "crash", risk = "high", min_confidence = 0.3, action = "roll_back" },
  { context = "any", risk = "critical", action = "hold", reason = "nobody knows" },
]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rules.toml"


def test_a_file_of_rules(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(RULES)
    assert main(["policy", "check", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{file}: 2 rules, all sound; the first that fits answers"
    assert lines[2] == "/, otherwise otp"
    assert " ".join(lines[4].split()) == "0 crash high 0.3 roll_back crash, risk high, confidence 0.3"
    assert " ".join(lines[5].split()) == "1 any critical 0 hold crash, risk critical"


def test_the_tables_of_a_tree_as_json(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rule = '{ rules = [{ context = "stalled", action = "restart" }] }'
    file.write_text(f'[[children]]\nid = "desk"\nchildren = []\npolicy = {rule}\n')
    assert main(["policy", "check", str(file), "--json"]) == 0
    (table,) = json.loads(capsys.readouterr().out)["tables"]
    assert (table["path"], table["otherwise"]) == ("desk", "ladder")
    assert table["rules"] == [
        {
            "rule": 0,
            "context": "stalled",
            "risk": "low",
            "min_confidence": 0.0,
            "action": "restart",
            "reason": "",
            "reached_by": {
                "context": "stalled",
                "risk": "medium",
                "confidence": 0.0,
                "signal": "nothing new for 60 s (limit 30 s)",
                "because": [],
            },
        }
    ]


def test_a_tree_without_rules(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("children = []\n")
    assert main(["policy", "check", str(file)]) == 0
    assert "has no rules of its own" in capsys.readouterr().out


def test_rules_that_are_not_sound(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text('rules = [{ context = "crash", action = "resume" }]\n')
    assert main(["policy", "check", str(file)]) == 2
    assert "rule 0 can never resume after crash: hard rules forbid it" in capsys.readouterr().err
    assert main(["policy", "check", str(file), "--json"]) == 2
    said = json.loads(capsys.readouterr().out)
    assert said["sound"] is False
    assert said["problems"][0]["path"] == "rules.rules"


def test_a_file_that_is_not_there(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "check", str(file)]) == 2
    assert "cannot be read" in capsys.readouterr().err


PYTHON = """
from treewarden.supervisor import Rule, otp, table

GOOD = table([Rule("crash", "restart"), Rule("stalled", "hold")], otherwise=otp())

def bad():
    return table([Rule("crash", "restart", min_confidence=0.3), Rule("crash", "restart_all", min_confidence=0.6)])
"""


def test_a_table_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "till_rules", raising=False)
    (tmp_path / "till_rules.py").write_text(PYTHON)
    assert main(["policy", "check", "till_rules:GOOD"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "till_rules:GOOD: 2 rules, all sound; the first that fits answers"
    assert lines[-2:] == ["0 crash low 0 restart crash, risk low", "1 stalled low 0 hold stalled, risk medium"]
    assert main(["policy", "check", "till_rules:bad"]) == 2
    assert "rule 1 (crash -> restart_all) is never reached: rule 0 before it answers" in capsys.readouterr().err


def test_whatever_is_printed_for_a_rule_has_a_case(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text('rules = [{ context = "any", risk = "critical", action = "hold" }]\n')
    assert main(["policy", "check", str(file), "--json"]) == 0
    (rule,) = json.loads(capsys.readouterr().out)["tables"][0]["rules"]
    found = rule["reached_by"]
    assert (found["context"], found["risk"], found["signal"][:8]) == ("crash", "critical", "crashed:")
    assert found["because"]
