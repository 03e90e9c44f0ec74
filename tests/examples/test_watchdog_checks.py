"""The judgement of an answer: what passes, what does not, as which kind, and how bad it is."""

from __future__ import annotations

import json
import math
from datetime import date
from typing import Any

import pytest
from checks import ANYTHING, Expectation, Finding, Kind, Observation, differences, judge, leaves
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.errors import ConfigurationError

USER = Expectation(json={"id": 1, "address": {"town": "Oslo"}}, slow_over=0.5)
RIGHT = '{"id": 1, "address": {"town": "Oslo", "zip": "0150"}, "tags": []}'


def seen(body: str = RIGHT, status: int = 200, latency: float = 0.1, **headers: str) -> Observation:
    return Observation(
        latency=latency,
        status=status,
        body=body,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


@pytest.mark.parametrize(
    ("observation", "kind", "text"),
    [
        (seen(), Kind.OK, ""),
        (Observation(latency=0.0, error="connect error: refused"), Kind.DOWN, "connect error: refused"),
        (Observation(latency=5.0), Kind.DOWN, "no answer"),
        (seen(latency=0.5), Kind.OK, ""),
        (seen(latency=2.0), Kind.SLOW, "2 s, limit 0.5 s"),
        (seen(status=500), Kind.SERVER_ERROR, "status 500, not 200"),
        (seen(status=503, latency=9.0), Kind.SERVER_ERROR, "status 503, not 200"),
        (seen(status=404), Kind.WRONG_STATUS, "status 404, not 200"),
        (seen(status=204, body=""), Kind.WRONG_STATUS, "status 204, not 200"),
        (seen(status=429), Kind.RATE_LIMITED, "status 429"),
        (seen(status=429, retry_after="7"), Kind.RATE_LIMITED, "status 429, retry after 7 s"),
        (seen("[]"), Kind.WRONG_SHAPE, "[], not an object"),
        (seen("false"), Kind.WRONG_SHAPE, "false, not an object"),
        (seen("null"), Kind.WRONG_SHAPE, "null, not an object"),
        (seen("0"), Kind.WRONG_SHAPE, "0, not an object"),
        (seen('""'), Kind.WRONG_SHAPE, '"", not an object'),
        (seen(""), Kind.NOT_JSON, "an empty body, not JSON"),
        (seen("<h1>It works!</h1>"), Kind.NOT_JSON, "not JSON: '<h1>It works!</h1>'"),
        (seen(RIGHT + "x"), Kind.NOT_JSON, None),
        (seen("[" * 100_000), Kind.NOT_JSON, None),
        (seen("{}"), Kind.WRONG_BODY, "$.id is missing, not 1 (2 of 2 are wrong)"),
        (seen('{"id": 2, "address": {"town": "Oslo"}}'), Kind.WRONG_BODY, "$.id is 2, not 1"),
        (seen('{"id": true, "address": {"town": "Oslo"}}'), Kind.WRONG_BODY, "$.id is true, not 1"),
        (seen('{"id": "1", "address": {"town": "Oslo"}}'), Kind.WRONG_BODY, '$.id is "1", not 1'),
        (seen('{"id": 1.0, "address": {"town": "Oslo"}}'), Kind.OK, ""),
        (seen('{"id": 1, "address": {}}'), Kind.WRONG_BODY, '$.address.town is missing, not "Oslo"'),
        (seen('{"id": 1, "address": []}'), Kind.WRONG_BODY, '$.address is [], not {"town": "Oslo"}'),
        (seen('{"id": 1}', latency=9.0), Kind.WRONG_BODY, '$.address is missing, not {"town": "Oslo"}'),
    ],
)
def test_each_answer_is_found_out(observation: Observation, kind: Kind, text: str | None) -> None:
    found = judge(USER, observation)
    assert found.kind is kind
    assert text is None or found.text == text
    assert (found.severity > 0) == (kind is not Kind.OK)


@pytest.mark.parametrize(
    ("expectation", "observation", "kind"),
    [
        (Expectation(), seen("whatever"), Kind.OK),
        (Expectation(status=404), seen("gone", status=404), Kind.OK),
        (Expectation(status=429), seen("", status=429), Kind.OK),
        (Expectation(status=500), seen(""), Kind.WRONG_STATUS),
        (Expectation(text="nominal"), seen("all systems nominal\n"), Kind.OK),
        (Expectation(text="nominal"), seen("on fire"), Kind.WRONG_BODY),
        (Expectation(json={}), seen('{"any": 1}'), Kind.OK),
        (Expectation(json={}), seen("[]"), Kind.WRONG_SHAPE),
        (Expectation(json=[]), seen("[1, 2]"), Kind.OK),
        (Expectation(json=[]), seen("{}"), Kind.WRONG_SHAPE),
        (Expectation(json=[1]), seen("[1, 2]"), Kind.OK),
        (Expectation(json=[1]), seen("[]"), Kind.WRONG_BODY),
        (Expectation(json=None), seen("null"), Kind.OK),
        (Expectation(json=None), seen("false"), Kind.WRONG_BODY),
        (Expectation(json=False), seen("false"), Kind.OK),
        (Expectation(json=False), seen("0"), Kind.WRONG_BODY),
        (Expectation(json="ok"), seen('"ok"'), Kind.OK),
        (Expectation(headers={"Content-Type": "json"}), seen(content_type="application/JSON; x"), Kind.OK),
        (Expectation(headers={"Content-Type": "json"}), seen(content_type="text/html"), Kind.WRONG_HEADER),
        (Expectation(headers={"X-Trace": ""}), seen(x_trace="1"), Kind.OK),
        (Expectation(headers={"X-Trace": ""}), seen(), Kind.WRONG_HEADER),
    ],
)
def test_each_expectation_is_held(expectation: Expectation, observation: Observation, kind: Kind) -> None:
    assert judge(expectation, observation).kind is kind


def test_the_place_and_both_values_are_told() -> None:
    found = judge(USER, seen('{"id": 1, "address": {"town": "Bergen"}}'))
    assert found.facts == {"path": "$.address.town", "expected": '"Oslo"', "actual": '"Bergen"', "wrong": 1, "of": 2}


@pytest.mark.parametrize(
    ("headers", "after"),
    [
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": " 120 "}, 120.0),
        ({"retry-after": "Fri, 20 Nov 2026 10:00:30 GMT", "date": "Fri, 20 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"retry-after": "Fri, 20 Nov 2026 09:00:00 GMT", "date": "Fri, 20 Nov 2026 10:00:00 GMT"}, 0.0),
        ({"retry-after": "Fri, 20 Nov 2026 10:00:30 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1e9"}, None),
        ({}, None),
    ],
)
def test_the_wait_is_read_from_the_headers(headers: dict[str, str], after: float | None) -> None:
    answer = Observation(latency=0.1, status=429, headers=headers)
    assert judge(USER, answer).after == after


@given(st.floats(0.001, 100), st.floats(0.001, 100))
def test_a_later_answer_is_never_less_severe(first: float, second: float) -> None:
    expectation = Expectation(slow_over=0.5)
    early, late = (judge(expectation, seen(latency=latency)).severity for latency in sorted((first, second)))
    assert 0 <= early <= late < 1


def test_more_wrong_fields_are_more_severe() -> None:
    expectation = Expectation(json={"a": 1, "b": 2, "c": 3})
    bodies = ('{"a": 0, "b": 2, "c": 3}', '{"a": 0, "b": 0, "c": 3}', "{}")
    one, two, three = (judge(expectation, seen(body)).severity for body in bodies)
    assert 0.3 < one < two < three == pytest.approx(0.7)


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)


def widened(value: Any, more: st.DataObject) -> Any:
    """`value` with fields and items that nobody asked for."""
    match value:
        case dict():
            extra = more.draw(st.dictionaries(st.text(), values, max_size=2))
            return {**extra, **{key: widened(inner, more) for key, inner in value.items()}}  # pyright: ignore[reportUnknownVariableType]
        case list():
            return [*(widened(inner, more) for inner in value), *more.draw(st.lists(values, max_size=2))]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value


@given(values, st.data())
def test_a_subset_passes_whatever_else_is_there(expected: Any, more: st.DataObject) -> None:
    assert list(differences(expected, widened(expected, more))) == []


@given(values, values)
def test_a_judgement_agrees_with_its_differences(expected: Any, actual: Any) -> None:
    found = judge(Expectation(json=expected), seen(json.dumps(actual)))
    wrong = list(differences(expected, actual))
    assert (found.kind is Kind.OK) == (not wrong)
    assert len(wrong) <= leaves(expected)
    assert 0 <= found.severity <= 1


@given(values.filter(lambda value: isinstance(value, dict)), values.filter(lambda value: not isinstance(value, dict)))
def test_nothing_but_an_object_is_an_object(expected: Any, actual: Any) -> None:
    assert judge(Expectation(json=expected), seen(json.dumps(actual))).kind is Kind.WRONG_SHAPE


@given(st.text(), st.integers(100, 599), st.dictionaries(st.text(), st.text()), st.text())
def test_no_answer_breaks_the_judge(body: str, status: int, headers: dict[str, str], after: str) -> None:
    observation = Observation(latency=0.1, status=status, body=body, headers={**headers, "retry-after": after})
    assert isinstance(judge(USER, observation), Finding)


@pytest.mark.parametrize(
    ("table", "slow_over", "text"),
    [
        ({"stat": 200}, None, "there is no 'stat'; it knows status, json, text, headers"),
        ({"status": "200"}, None, "expect.status is '200'"),
        ({"status": True}, None, "expect.status is True"),
        ({"status": 20}, None, "expect.status is 20"),
        ({"text": 3}, None, "expect.text is 3"),
        ({"headers": ["a"]}, None, "expect.headers is ['a']"),
        ({"headers": {"a": 1}}, None, "expect.headers is {'a': 1}"),
        ({"json": {"born": [date(2000, 1, 1)]}}, None, "expect.json.born[0] is datetime.date(2000, 1, 1)"),
        ({"json": {"x": math.nan}}, None, "expect.json.x is nan"),
        ({}, 0.0, "slow_over is 0.0"),
        ({}, math.inf, "slow_over is inf"),
    ],
)
def test_an_expectation_that_cannot_work_is_refused(table: dict[str, Any], slow_over: float | None, text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Expectation.parse(table, slow_over=slow_over)
    assert text in str(refused.value)


def test_an_expectation_is_read() -> None:
    table = {"status": 201, "json": {"a": [1]}, "text": "a", "headers": {"X": "y"}}
    read = Expectation.parse(table, slow_over=1)
    assert read == Expectation(status=201, json={"a": [1]}, text="a", headers={"X": "y"}, slow_over=1)
    assert Expectation.parse({}).json is ANYTHING
