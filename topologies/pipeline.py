"""Stages in a row: what one returns, the next one handles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.core.spec import ChildSpec, Spec, Strategy

from .child import Child, spec_of, supervisor
from .core.blueprint import Blueprint
from .core.flow import Flow, flow_problems
from .core.problems import Problem, shown
from .errors import BlueprintError

if TYPE_CHECKING:
    from typing import Unpack

    from .child_options import SupervisorOptions

__all__ = ["Stage", "connected", "pipeline", "stage", "stage_problems"]


@frozen
class Stage:
    """A stage, and the ids of those that its results go to; None: the one after it."""

    spec: Spec
    to: tuple[str, ...] | None = None


def stage(item: Child, *, to: Sequence[str]) -> Stage:
    """A stage whose results go to the stages named in `to`, each of them getting every result; `[]` keeps them.

    Raises `ConfigurationError` for one text, which would be a stage for each of its letters.
    """
    if isinstance(to, str) or not isinstance(to, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"to is {shown(to)}; give the ids of stages, as in to=['sink'], or [] for none")
    return Stage(spec_of(item), tuple(to))


def pipeline(*stages: Child | Stage, id: str = "pipeline", **options: Unpack[SupervisorOptions]) -> Blueprint:
    """Stages from the source to the sink: what the handlers of one return is told to the next.

    A stage is an agent or a pool. Its results (other than None, and other than replies to an ask) go to the stage after
    it or, with `stage(..., to=[...])`, to those named. They leave in the commit that settles the message they came
    from, and wait for room, so that a slow sink slows the source. A cycle of stages could wait for itself: refused.

    Declared from source to sink, started from sink to source: a stage starts when all that it sends to are ready, and
    is stopped before them. With `rest_for_one` a failing stage takes along those started after it, the ones that
    feed it; what waits in their mailboxes waits on. A stage that is stopped while it waits for room hands its result on
    at once and has finished: a full mailbox takes as many of those as its capacity, or 16, beyond that, and one from
    each in any case. (Where that is used up, and nothing has been taken since, it waits until its grace is over.) When
    the tree is stopped, a stage in memory hands on all that had waited for it, beyond every capacity.

    Raises `BlueprintError` with everything that cannot work.
    """
    members = [each if isinstance(each, Stage) else Stage(spec_of(each)) for each in stages]
    flow = Flow(tuple(each.spec.id for each in members), tuple(each.to for each in members))
    places = [f"{id}.stages[{number}]" for number in range(len(members))]
    found = list(stage_problems([each.spec for each in members], flow, f"{id}.stages", places))
    if found:
        raise BlueprintError(found, f"pipeline {id!r}")
    wired = connected([each.spec for each in members], flow)
    children = tuple(wired[number] for number in flow.order)
    return supervisor(id, children=children, strategy=Strategy.REST_FOR_ONE, **options)


def stage_problems(specs: Sequence[Spec], flow: Flow, at: str, places: Sequence[str]) -> list[Problem]:
    """Everything that keeps these stages from being a pipeline; `places` says where each of them stands."""
    found: list[Problem] = []
    for number, (spec, place) in enumerate(zip(specs, places, strict=True)):
        if spec.id in flow.ids[:number]:
            before = places[flow.ids.index(spec.id)]
            found.append(
                Problem(f"{place}.id", repr(spec.id), f"is the id of {before} too", "name one of them differently")
            )
        if not isinstance(spec, ChildSpec) and (spec.router is None or spec.entry is not None):
            found.append(Problem(place, repr(spec.id), "has no mailbox of its own", "a stage is an agent or a pool"))
    return [*found, *flow_problems(flow, at, places)]


def connected(specs: Sequence[Spec], flow: Flow) -> list[Spec]:
    """The stages with their outlets, in the order in which they were declared."""
    edges = flow.edges
    return [_with_outlet(spec, edges[spec.id], "../") for spec in specs]


def _with_outlet(spec: Spec, targets: Sequence[str], up: str) -> Spec:
    if isinstance(spec, ChildSpec):
        return evolve(spec, outlet=(*spec.outlet, *(up + target for target in targets)))
    return evolve(spec, children=tuple(_with_outlet(worker, targets, up + "../") for worker in spec.children))
