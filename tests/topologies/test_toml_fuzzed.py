"""Whatever stands in a TOML file: it becomes a blueprint that can be opened, or it is refused with reasons."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.agent import Agent
from treewarden.supervisor.core.spec import ChildSpec
from treewarden.topologies.core.blueprint import validate, walk
from treewarden.topologies.core.node import Problems, located
from treewarden.topologies.core.options import AGENT, SUPERVISOR
from treewarden.topologies.toml_source import Source
from treewarden.topologies.toml_trees import read_root

FOLDER: Final = Path(__file__).parent / "bad_toml"
NAMES: Final = ["Intake", "Writer", "Poller", "Nobody", "poll", "greedy", "desk", "failing", "LIMIT"]

values: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(["a", "b", "transient", "temporary", "all_significant", "volatile", "brutal_kill", "by_key", ""]),
    st.sampled_from([f"sample_desk:{name}" for name in NAMES] + ["sample_desk", "parts/good.toml", "equal_ids.toml"]),
    st.sampled_from(
        [True, False, -1, 0, 1, 2.5, [], {}, ["a"], ["b", "c"], {"size": 2}, {"url": "x"}, {"capacity": 3}]
    ),
)


def tables(below: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Tables with the keys that a file may have, each of them with something that may stand there, or not."""
    nested = st.lists(below, max_size=3)
    options = [*AGENT, *SUPERVISOR, "args", "every", "to", "size", "route", "key", "journal", "colour"]
    named = {
        "id": st.sampled_from(["a", "b", "c", "a b"]),
        "agent": st.sampled_from([f"sample_desk:{name}" for name in NAMES]),
        "worker": st.sampled_from([f"sample_desk:{name}" for name in NAMES]),
        "tree": st.sampled_from([f"sample_desk:{name}" for name in NAMES]),
        "file": st.sampled_from(["parts/good.toml", "parts/faulty.toml", "include_cycle.toml", "nobody.toml"]),
        "children": nested,
        "pipeline": nested,
        "pool": below,
        "defaults": below,
    }
    kind = st.sampled_from([{}, *({key: each} for key, each in named.items())])
    some = st.dictionaries(st.sampled_from(options), values, max_size=3)
    whole = kind.flatmap(lambda keys: st.fixed_dictionaries({"id": named["id"], **keys}))
    return st.tuples(some, whole).map(joined)


def joined(parts: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    return {key: value for part in parts for key, value in part.items()}


children: st.SearchStrategy[dict[str, Any]] = st.lists(
    st.recursive(tables(values), tables, max_leaves=6), max_size=4
).map(lambda found: {"children": found})
files = st.tuples(tables(values), children).map(joined)


@given(files)
def test_every_file_is_read_or_refused(data: dict[str, Any]) -> None:
    problems = Problems()
    source = Source("fuzz", FOLDER, (FOLDER / "fuzz.toml",), problems)
    blueprint, place, _ = read_root(source, located(data, "fuzz"), outermost=True)
    problems.add(*validate(blueprint, place))
    if not len(problems):  # then nothing in it stands in for what could not be read
        assert not any(spec.id.startswith("_") for _, spec in walk(blueprint))
        assert not any(isinstance(spec, ChildSpec) and spec.agent is Agent for _, spec in walk(blueprint))
    for problem in problems:
        assert problem.path.startswith(("fuzz", "parts/", "include_cycle"))
        assert problem.value
        assert problem.remedy
