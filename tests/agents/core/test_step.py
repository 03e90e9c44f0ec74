"""What to do about an effect, from what is known of it; and how one is called."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.exit import describe
from treewarden.agents.core.message import derived_id
from treewarden.agents.core.path import Path
from treewarden.agents.core.step import (
    Begun,
    Known,
    Next,
    Outcome,
    advance,
    begun_id,
    check_name,
    done_id,
    is_step,
    key_of,
    mail_of,
    message_of,
    raised,
    step_name,
    step_of,
)
from treewarden.agents.errors import InDoubt
from treewarden.supervisor.core.exits import IN_DOUBT, is_in_doubt

STEP = "17b2-5>desk!charge.1"
BEGUN = Begun(step=STEP, name="charge", key=key_of(STEP), path=Path("desk"), since=0.0)
NOBODY, IDEMPOTENT, VERIFIED, BOTH = (False, False), (False, True), (True, False), (True, True)


@pytest.mark.parametrize(
    ("found", "under_way", "says", "next"),
    [
        (None, False, NOBODY, Next.RUN),
        (None, False, BOTH, Next.RUN),
        (BEGUN, False, NOBODY, Next.HOLD),
        (BEGUN, False, IDEMPOTENT, Next.RUN_AGAIN),
        (BEGUN, False, VERIFIED, Next.VERIFY),
        (BEGUN, False, BOTH, Next.VERIFY),
        (BEGUN, True, IDEMPOTENT, Next.HOLD),
        (BEGUN, True, VERIFIED, Next.HOLD),
        (None, True, IDEMPOTENT, Next.HOLD),
        (Known(7), False, NOBODY, Next.REPLAY),
        (Known(7), True, BOTH, Next.REPLAY),
        (Known(None), False, NOBODY, Next.REPLAY),
    ],
)
def test_what_to_do_before_it_runs(
    found: Begun | Known | None, under_way: bool, says: tuple[bool, bool], next: Next
) -> None:
    verify, idempotent = says
    assert advance(found, under_way=under_way, verify=verify, idempotent=idempotent) is next


def test_nobody_runs_a_second_time_unasked() -> None:
    """Of all there is to know: without a word of the outside or of the user, it runs only where it has not begun."""
    for found, under_way in itertools.product((None, BEGUN, Known(1)), (False, True)):
        next = advance(found, under_way=under_way, verify=False, idempotent=False)
        assert (next in (Next.RUN, Next.RUN_AGAIN)) == (found is None and not under_way)


@pytest.mark.parametrize(
    ("not_done", "says", "waits", "outcome"),
    [
        (True, NOBODY, True, Outcome.UNDO),
        (True, BOTH, False, Outcome.UNDO),
        (False, NOBODY, True, Outcome.HOLD),
        (False, IDEMPOTENT, True, Outcome.LEAVE),
        (False, VERIFIED, True, Outcome.LEAVE),
        (False, NOBODY, False, Outcome.LEAVE),
    ],
)
def test_what_an_exception_of_its_call_says(
    not_done: bool, says: tuple[bool, bool], waits: bool, outcome: Outcome
) -> None:
    verify, idempotent = says
    assert raised(not_done=not_done, verify=verify, idempotent=idempotent, waits=waits) is outcome


IDS = st.from_regex(r"[0-9a-f]{8}-[1-9][0-9]{0,3}", fullmatch=True)
PATHS = st.from_regex(r"[a-z_][a-z0-9_.:@+-]{0,8}(/[a-z][a-z0-9.:@+-]{0,8}){0,2}", fullmatch=True).map(Path)
NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,12}", fullmatch=True)
ASKS = st.tuples(PATHS, st.sampled_from(["desk:Order", "list[int]", "str"])).map(
    lambda ask: f"{ask[0]}:{ask[1]}:1:00ff"
)


@given(IDS, st.lists(ASKS, max_size=3), PATHS, NAMES, st.integers(1, 99))
def test_an_id_says_all_of_a_step(root: str, asks: list[str], path: Path, name: str, n: int) -> None:
    message = root
    for ask in asks:
        message = derived_id(message, ask, 1)
        assert not is_step(message)
    step = derived_id(message, step_name(path, check_name(name)), n)
    assert not is_step(step)
    for id in (begun_id(step), done_id(step)):
        assert is_step(id)
        assert step_of(id) == step
    assert message_of(step) == message
    assert mail_of(step) == path
    assert begun_id(step) != done_id(step)


@given(st.lists(st.tuples(IDS, PATHS, NAMES, st.integers(1, 30)), unique=True, max_size=12))
def test_no_two_have_one_key(steps: list[tuple[str, Path, str, int]]) -> None:
    keys = {key_of(derived_id(id, step_name(path, name), n)) for id, path, name, n in steps}
    assert len(keys) == len(steps)
    assert all(len(key) == 32 for key in keys)


def test_a_key_is_the_same_in_each_process() -> None:
    assert key_of(STEP) == "2aec2101a4e42aeacf76f7577401d3f1"


@pytest.mark.parametrize("name", ["", "two words", "a.b", "a>b", "a!b", "1st", "é", "x" * 101, None, 7])
def test_what_is_no_name(name: object) -> None:
    with pytest.raises(ValueError, match=r"its name is .*; give letters, digits and _"):
        check_name(name)


def test_a_guard_knows_the_error_by_its_type() -> None:
    error = InDoubt("text", path=Path("a"), name="charge", key="k", since=0.0)
    assert describe(error).type == IN_DOUBT
    assert is_in_doubt(describe(ExceptionGroup("both", [ValueError("other"), error])))
    assert not is_in_doubt(describe(ExceptionGroup("both", [ValueError("other"), TypeError("one")])))
