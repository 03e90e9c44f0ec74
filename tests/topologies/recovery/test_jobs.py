"""Races in several processes: the same results; and what becomes of them when somebody interrupts, or one dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import evolve

from treewarden.topologies.cli import main
from treewarden.topologies.recovery.contenders import CONTENDERS
from treewarden.topologies.recovery.jobs import cores, worth
from treewarden.topologies.recovery.results import as_data, race_all
from treewarden.topologies.recovery.world import load_worlds

LONG = 100
"""Seconds after which something hangs: none of these takes a tenth, but the machine may be busy."""
PROGRAM = """
import sys
from treewarden.topologies.cli import main
raise SystemExit(main(sys.argv[1:]))
"""
LOST = """
import os
from functools import partial
from attrs import evolve
from treewarden.supervisor import ladder
from treewarden.topologies.recovery.contenders import Contender
from treewarden.topologies.recovery.jobs import Job, RaceLost, races
from treewarden.topologies.recovery.world import load_worlds

world = evolve(load_worlds()[0], incidents=1)

def broken():
    raise ValueError("no policy today")

for name, make in (("killed", partial(os._exit, 9)), ("broken", broken)):
    jobs = [Job(world, 0, Contender("ladder", ladder)), Job(world, 1, Contender(name, make))]
    running = races(jobs, 2)
    print(len(next(running).incidents))
    try:
        next(running)
    except RaceLost as error:
        print(str(error).splitlines()[0], "|", str(error).splitlines()[-1])
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("nobody is left")
"""


def recovery(*arguments: str, hash_seed: str = "0") -> bytes:
    command = [sys.executable, "-c", PROGRAM, "recovery", *arguments]
    found = subprocess.run(
        command, capture_output=True, timeout=LONG, check=True, env={**os.environ, "PYTHONHASHSEED": hash_seed}
    )
    assert found.stderr == b"", "no bar where nobody looks"
    return found.stdout


def test_processes_change_nothing(here: Path) -> None:
    arguments = ("--worlds", "worlds.toml", "--seeds", "0-7", "--policies", "ladder,akka", "--json")
    one, two = recovery(*arguments, "--jobs", "1"), recovery(*arguments, "--jobs", "2", hash_seed="4")
    assert one == two
    assert [row["policy"] for row in json.loads(one)["worlds"][0]["policies"]] == ["ladder", "akka"]


def test_a_process_is_begun_for_some_races_and_not_for_each() -> None:
    assert worth(1, 1000) == 1
    assert worth(4, 7) == 1
    assert worth(4, 17) in (1, 2), "1 where other threads run, for then nobody may fork"
    assert cores() >= 1


def test_what_is_lost_with_a_process_is_said_and_nobody_is_left_behind() -> None:
    found = subprocess.run([sys.executable, "-c", LOST], capture_output=True, timeout=LONG, check=True, text=True)
    race = "the race of {} in as_modelled under seed 1"
    killed = f"{race.format('killed')}: its process was ended from outside; run it again, perhaps with --jobs 1"
    assert found.stdout.splitlines() == [
        "1",
        f"{killed} | {killed}",
        "1",
        f"{race.format('broken')} failed: | ValueError: no policy today",
        "nobody is left",
    ]


def test_worlds_that_are_done_when_somebody_interrupts_are_the_result() -> None:
    worlds = [evolve(world, incidents=1) for world in load_worlds()[:2]]
    told: list[str] = []

    def tell(what: str) -> None:
        told.append(what)
        if len(told) == 4:
            raise KeyboardInterrupt

    results = race_all(worlds, (0, 1), [CONTENDERS["ladder"]], told=tell)
    assert not results.complete
    assert [world.name for world, _ in results.worlds] == ["as_modelled"]
    assert as_data(results)["complete"] is False
    assert "complete" not in as_data(race_all(worlds[:1], (0,), [CONTENDERS["ladder"]]))


IMPATIENT = """
from treewarden.supervisor import ladder

class Impatient:
    name, counts_alike, escalates, stable_after = "impatient", True, True, None

    def propose(self, case):
        raise KeyboardInterrupt

    def declined(self, case):
        return ()

def steady():
    return ladder()

def odd(argument):
    return ladder()

def empty():
    return 7

def broken():
    raise OSError("no network")

POLICY, NUMBER = Impatient(), 7
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "contestants", raising=False)
    (tmp_path / "contestants.py").write_text(IMPATIENT)
    (tmp_path / "rules.toml").write_text('rules = [{ context = "crash", action = "hold" }]\n')
    (tmp_path / "worlds.toml").write_text('[[world]]\nname = "tiny"\nincidents = 2\n')
    return tmp_path


def test_who_interrupts_gets_what_is_done_and_130(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["recovery", "--worlds", "worlds.toml", "--seeds", "0", "--policies", "contestants:POLICY"]
    assert main(arguments) == 130
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "treewarden: interrupted; 0 of 1 worlds were done\n")
    assert main([*arguments, "--json"]) == 130
    assert json.loads(capsys.readouterr().out)["complete"] is False


def test_policies_of_ones_own_race_under_their_names(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = "rules.toml,contestants:steady,ladder,contestants:steady"
    assert main(["recovery", "--worlds", "worlds.toml", "--seeds", "0,1", "--policies", given, "--json"]) == 0
    (world,) = json.loads(capsys.readouterr().out)["worlds"]
    held, steady, ladder = world["policies"]
    assert [row["policy"] for row in (held, steady, ladder)] == ["rules.toml", "contestants:steady", "ladder"]
    assert steady["cost"] == ladder["cost"]
    assert held["pages"] > ladder["pages"], "rules that hold after each crash call a person each time"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("moon.toml", "moon.toml"),
        ("worlds.toml", "worlds.toml describes a tree; give a file that holds nothing but rules"),
        ("contestants:nobody", "names nothing: contestants has no 'nobody'"),
        ("moon:POLICY", "cannot be imported: no module 'moon'"),
        ("contestants:", "is not of the form module:name"),
        ("contestants:odd", "cannot be called without arguments (missing a required argument: 'argument')"),
        ("contestants:empty", "contestants:empty is 7, which has no name; give a policy, or what returns one"),
        ("contestants:NUMBER", "contestants:NUMBER is 7, which has no name"),
        ("contestants:broken", "contestants:broken makes no policy: it raised OSError: no network; mend it"),
        ("dice", "no policy 'dice' races; there is otp"),
    ],
)
def test_what_is_no_policy_is_refused(
    name: str, complaint: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["recovery", "--policies", name]) == 2
    assert complaint in capsys.readouterr().err


def test_ctrl_c_is_heard_once_by_all(here: Path) -> None:
    """In real processes: the forked ones leave it to the first, which ends them."""
    (here / "contestants.py").write_text(IMPATIENT.replace("raise KeyboardInterrupt", "self.wait()") + WAITING)
    command = [sys.executable, "-c", PROGRAM, "recovery", "--worlds", "worlds.toml", "--seeds", "0-15", "--jobs", "2"]
    with subprocess.Popen(
        [*command, "--policies", "contestants:Slow"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=heeding,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "READY\n"
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=LONG)
        finally:
            process.kill()
    assert (process.returncode, err) == (130, "treewarden: interrupted; 0 of 1 worlds were done\n")
    assert set(out.splitlines()) <= {"READY"}


def heeding() -> None:
    """Also where the shell has what it starts in the background ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


WAITING = """
import os
import threading

class Slow(Impatient):
    def wait(self):
        os.write(1, b"READY\\n")  # at once: two processes say it
        threading.Event().wait(60)
"""
