"""What a signal is a sign of."""

from __future__ import annotations

import pytest
from hypothesis import given

from treewarden.agents.core.exit import KILLED, Failure, Finished, Stopped
from treewarden.supervisor.core.signal import (
    OperatorAsked,
    Overloaded,
    RateLimitReached,
    Recovered,
    Reported,
    RestartFailed,
    Signal,
    Stalled,
    Unanswered,
)
from treewarden.supervisor.core.symptom import (
    Kind,
    Risk,
    Symptom,
    classify,
    describe,
    failure_in,
    is_outside,
    kind_of,
    label_of,
    message_in,
    one_line,
    trouble_in,
)

from .cases import PATH, exited, failed, signals

CRASH = exited(failed(message="m7"))
LIMITED = RateLimitReached(path=PATH, at=1.0, after=7.0, message="m7")
SLOW = Reported(path=PATH, at=1.0, kind="slow", severity=0.7, text="2.1 s\nfor /health")


@pytest.mark.parametrize(
    ("signal", "label", "trouble", "text"),
    [
        (CRASH, "crash", "valueerror", "crashed: ValueError: unlucky (desk.py:12 in add), handling Add"),
        (exited(KILLED), "killed", "", "killed without being asked"),
        (exited(Finished(3)), "finished", "", "returned"),
        (exited(Stopped("enough")), "stopped", "", "stopped: enough"),
        (exited(Stopped("intensity")), "gave_up", "", "stopped: intensity"),
        (
            RestartFailed(path=PATH, at=1.0, failure=failed("OSError").failure),
            "start_failed",
            "oserror",
            "did not start: OSError: unlucky (desk.py:12 in add)",
        ),
        (LIMITED, "rate_limited", "rate_limited", "was asked to make fewer calls for 7 s"),
        (RateLimitReached(path=PATH, at=1.0), "rate_limited", "rate_limited", "was asked to make fewer calls"),
        (
            Stalled(path=PATH, at=1.0, idle=61.25, limit=60.0, doing="Fetch"),
            "stalled",
            "stalled",
            "nothing new for 61.2 s (limit 60 s), handling Fetch",
        ),
        (
            Stalled(path=PATH, at=1.0, idle=1.0, limit=60.0, cycle=("search", "read"), times=3, doing="Fetch"),
            "stalled",
            "stalled",
            "goes round in circles: search -> read, 3 times with the same arguments and results, handling Fetch",
        ),
        (
            Stalled(path=PATH, at=1.0, idle=1.0, limit=60.0, cycle=("read",), times=9),
            "stalled",
            "stalled",
            "goes round in circles: read, 9 times with the same arguments and results",
        ),
        (
            Overloaded(path=PATH, at=1.0, depth=60, capacity=64, oldest=3.0),
            "overloaded",
            "overloaded",
            "60 of 64 messages wait, the oldest for 3 s",
        ),
        (SLOW, "reported:slow", "reported:slow", "reported slow 0.70: 2.1 s for /health"),
        (Reported(path=PATH, at=1.0, kind="slow", severity=0.2), "reported:slow", "", "reported slow 0.20"),
        (Recovered(path=PATH, at=1.0, kind="slow", text="0.1 s"), "recovered:slow", "", "recovered from slow: 0.1 s"),
        (Recovered(path=PATH, at=1.0, kind="slow"), "recovered:slow", "", "recovered from slow"),
        (OperatorAsked(path=PATH, at=1.0, what="stop", by="ada"), "operator:stop", "", "ada asked for stop"),
        (Unanswered(path=PATH, at=1.0, question="Start it?"), "unanswered", "", "nobody has answered: Start it?"),
    ],
)
def test_how_a_signal_is_read(signal: Signal, label: str, trouble: str, text: str) -> None:
    assert (label_of(signal), trouble_in(signal), describe(signal)) == (label, trouble, text)
    assert kind_of(signal) == label.partition(":")[0]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("ValueError", Symptom.CRASH),
        ("desk.Odd", Symptom.CRASH),
        ("TypeError", Symptom.CODE_ERROR),
        ("desk.TypeErrors", Symptom.CRASH),
        ("json.decoder.JSONDecodeError", Symptom.BAD_STATE),
        ("cattrs.errors.ClassValidationError", Symptom.BAD_STATE),
        ("ConnectionRefusedError", Symptom.CONNECTION),
        ("httpx2.ConnectError", Symptom.CONNECTION),
        ("httpx2.ConnectTimeout", Symptom.TIMEOUT),
        ("trio.TooSlowError", Symptom.TIMEOUT),
        ("trio.BrokenResourceError", Symptom.CONNECTION),
        ("MemoryError", Symptom.OUT_OF_MEMORY),
        ("treewarden.agents.errors.RateLimited", Symptom.RATE_LIMITED),
        ("treewarden.agents.errors.MailboxFull", Symptom.OVERLOADED),
    ],
)
def test_the_nature_of_a_failure(kind: str, expected: Symptom) -> None:
    assert classify(Failure(kind)) is expected


def test_a_mixed_group_is_classified_by_its_first_telling_part() -> None:
    parts = (Failure("ValueError"), Failure("TimeoutError"), Failure("MemoryError"))
    assert classify(Failure("ExceptionGroup", parts=parts)) is Symptom.TIMEOUT
    assert classify(Failure("ExceptionGroup", parts=parts[:1])) is Symptom.CRASH


def test_which_message_was_in_hand() -> None:
    assert message_in(CRASH) == message_in(LIMITED) == "m7"
    assert message_in(exited(Finished())) is None
    assert failure_in(CRASH) == failed(message="m7").failure


def test_a_failure_without_a_fingerprint_is_known_by_its_type() -> None:
    assert trouble_in(RestartFailed(path=PATH, at=0.0, failure=Failure("OSError"))) == "OSError"


@pytest.mark.parametrize(
    ("signal", "outside"),
    [
        (exited(failed("ConnectionRefusedError")), True),
        (exited(failed("trio.TooSlowError")), True),
        (RestartFailed(path=PATH, at=0.0, failure=Failure("ConnectionRefusedError")), True),
        (LIMITED, True),
        (CRASH, False),
        (exited(failed("treewarden.agents.errors.MailboxFull")), False),
        (exited(KILLED), False),
        (exited(Finished()), False),
        (SLOW, False),
    ],
)
def test_what_went_wrong_at_something_that_it_talks_to(signal: Signal, outside: bool) -> None:
    assert is_outside(signal) is outside


def test_a_sentence_of_just_so_many_characters_is_whole() -> None:
    assert one_line("a  b\nc") == "a b c"
    assert one_line("x" * 160) == "x" * 160
    assert one_line("x" * 161) == "x" * 159 + "…"


def test_risk_is_pressure_in_steps() -> None:
    steps = [Risk.of(pressure) for pressure in (0.0, 0.34, 0.35, 0.59, 0.6, 0.84, 0.85, 1.0)]
    assert [str(risk) for risk in steps] == ["low"] * 2 + ["medium"] * 2 + ["high"] * 2 + ["critical"] * 2


@given(signals())
def test_every_signal_can_be_read(signal: Signal) -> None:
    assert kind_of(signal) in Kind
    assert describe(signal)
    assert "\n" not in describe(signal)
