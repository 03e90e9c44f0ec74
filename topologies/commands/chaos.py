"""`treewarden chaos`: trees in worlds that a seed decides about."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from treewarden.agents.errors import ConfigurationError

from ..chaos import faults
from ..chaos.arms import Arms
from ..chaos.bodies import body_of, setting_of
from ..chaos.campaign import Campaign, Finding, find, rerun, run_seeds
from ..chaos.handler_mutants import QUICK, WHOLE, Score, sabotage_handlers
from ..chaos.proving import SMALL, own_runs, prove
from ..chaos.replaying import Replay, code_of
from ..chaos.reporting import html, summary
from ..chaos.run import Run, Setting
from ..chaos.sabotage import is_caught, sabotage
from ..chaos.set_order import begin_again
from ..chaos.subjects import SUBJECTS, hard
from ..chaos.sweep import Sweep, sweep
from ..chaos.telling import labels, story
from ..core.faults import Fault
from .commanding import command
from .exits import ExitCode

__all__ = ["chaos"]

_OTHERWISE: Final = 3
"""Exit code of a replay whose trace is another one than it was."""


def chaos(arguments: Namespace) -> int:
    """Do what the second word says. Raises `ConfigurationError` for what cannot be run.

    As the command of a process it first says for that process in which order sets of texts come, so that it can be
    said again.
    """
    if arguments.is_the_process and arguments.deed != "stop":
        begin_again(Replay.parse(arguments.string).order if "string" in arguments else "")
    return _DEEDS[arguments.deed](arguments)


def _run(arguments: Namespace) -> int:
    body = body_of(arguments.topology)
    setting = Setting(faults=tuple(_faults(arguments.faults)), within=arguments.within)
    marked: list[Run] = []
    arms = Arms(body, setting) if arguments.arms or arguments.report else None

    def done(run: Run) -> None:
        if not marked or run.failed:
            marked.append(run)
        if arms is not None:
            arms.add(run)

    seeds = range(arguments.first, arguments.first + arguments.seeds)
    total = run_seeds(body, setting, seeds, test=arguments.topology, done=done)
    _tell(total.findings)
    _say(f"{arguments.topology}: {total.sentence}")
    for escape in total.escapes:
        _say(f"not replayable: {escape}")
    for reading in total.readings:
        _say(f"outside of the seed: {reading}")
    if total.never:
        _say(f"never reached: {', '.join(total.never)}")
    for line in arms.sentences if arms is not None else ():
        _say(line)
    if arguments.report:
        swept = sweep(body, test=arguments.topology, within=arguments.within)
        _tell(swept.findings)
        _say(f"a crash at every place: {swept.sentence}")
        _report(arguments, total, marked[-1], arms, swept)
        return _code([*total.findings, *swept.findings, *total.never])
    return _code([*total.findings, *total.never])


def _report(arguments: Namespace, total: Campaign, shown: Run, arms: Arms | None, swept: Sweep) -> None:
    data = summary(arguments.topology, total, shown, arms, swept)
    for file, text in ((arguments.report, html(data)), (f"{arguments.report}.json", json.dumps(data, indent=1))):
        with open(file, "w", encoding="utf-8") as report:
            report.write(text)
    _say(f"report: {arguments.report}, {arguments.report}.json")


def _sweep(arguments: Namespace) -> int:
    total = sweep(body_of(arguments.topology), test=arguments.topology, within=arguments.within, pairs=arguments.pairs)
    _tell(total.findings)
    _say(f"{arguments.topology}: {total.sentence}")
    return _code(total.findings)


def _replay(arguments: Namespace) -> int:
    replay = Replay.parse(arguments.string)
    body = body_of(replay.test)
    run = rerun(body, replay)
    finding = Finding(run=run, replay=replay, planned=len(run.injections))
    for line in story(finding, f"replayed {replay.test}", f"treewarden chaos replay {replay}"):
        _say(line)
    if arguments.trace:
        for line in run.last:
            _say(line)
    if replay.digest and not run.digest.startswith(replay.digest):
        same = replay.code == code_of(body)
        why = "something else decides too" if same else "the code has changed"
        _say(f"its trace is another one than it was: {why}")
        return _OTHERWISE if same or not run.failed else ExitCode.TREE_FAILED
    return ExitCode.TREE_FAILED if run.failed else ExitCode.ORDERLY


def _shrink(arguments: Namespace) -> int:
    replay = Replay.parse(arguments.string)
    body = body_of(replay.test)
    run = rerun(body, replay)
    if not run.failed:
        _say("it does not fail any more")
        return ExitCode.ORDERLY
    _tell([find(body, run, test=replay.test, most=arguments.most)])
    return ExitCode.TREE_FAILED


def _label(arguments: Namespace) -> int:
    """A line of JSON for each incident: its cause, and what was seen and tried. `treewarden label --from` reads it."""
    body = body_of(arguments.topology)
    setting = Setting(faults=tuple(_faults(arguments.faults)), within=arguments.within)

    def done(run: Run) -> None:
        for line in labels(run, arguments.topology):
            _say(json.dumps(line))

    total = run_seeds(
        body, setting, range(arguments.first, arguments.first + arguments.seeds), test=arguments.topology, done=done
    )
    return _code(total.findings)


def _own(arguments: Namespace) -> int:
    if arguments.hashes:
        for seed, name, run in own_runs(arguments.seeds, arguments.first):
            _say(f"{run.digest} {seed} {name}")
        return ExitCode.ORDERLY
    swept = tuple(SUBJECTS) if arguments.sweep == "all" else SMALL if arguments.sweep == "small" else ()
    good = prove(arguments.seeds, swept, _say, first=arguments.first)
    return ExitCode.ORDERLY if good else ExitCode.TREE_FAILED


def _sabotage(arguments: Namespace) -> int:
    if arguments.only:
        return ExitCode.ORDERLY if is_caught(arguments.only, arguments.most) else ExitCode.TREE_FAILED
    if arguments.topology:
        setting = setting_of(arguments.topology)
        setting = setting or Setting(faults=tuple(_faults(arguments.faults)), within=arguments.within)
        names = [(arguments.topology, body_of(arguments.topology), setting)]
    else:
        names = [(name, SUBJECTS[name].run, hard()) for name in (WHOLE if arguments.whole else QUICK)]
    score = Score() if arguments.topology else sabotage(_say, arguments.most)
    for name, body, setting in names:
        score += sabotage_handlers(body, setting, arguments.most, _say, name=name)
    _say(f"{score.caught} of {score.of} caught")
    return ExitCode.ORDERLY if score.good else ExitCode.TREE_FAILED


def _faults(text: str) -> list[Fault]:
    """`kill,crash`, or `all`. Raises `ConfigurationError` naming one that there is not."""
    if text == "all":
        return faults.every_fault()
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in faults.NAMES:
            raise ConfigurationError(f"there is no fault {name!r}; there is {', '.join(faults.NAMES)}")
    return [getattr(faults, name)() for name in names]


def _tell(findings: list[Finding]) -> None:
    for finding in findings:
        how = f"seed {finding.run.seed}"
        for line in story(finding, how, f"treewarden chaos replay {finding.replay}"):
            _say(line)


def _code(findings: Sequence[object]) -> int:
    return ExitCode.TREE_FAILED if findings else ExitCode.ORDERLY


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


_DEEDS: Final[Mapping[str, Callable[[Namespace], int]]] = {
    "run": _run,
    "sweep": _sweep,
    "replay": _replay,
    "shrink": _shrink,
    "label": _label,
    "own": _own,
    "sabotage": _sabotage,
    "stop": command,
}
