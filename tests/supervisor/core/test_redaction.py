"""What a secret is called, and where else it stands: neither leaves."""

from __future__ import annotations

import base64
import json
import re
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.supervisor.core.redaction import REDACTED, Redaction

texts = st.text(st.characters(codec="utf-8"))
data = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
secrets = st.text("0123456789!\"'\\/+= \n\tÄß€Q", min_size=6, max_size=40)
around = st.text("xyz .,", max_size=12)


def learned(*values: Any, keys: tuple[str, ...] = ("api_key",)) -> Redaction:
    redaction = Redaction(keys)
    for value in values:
        redaction.learn({"held": [{"Api_Key": value}]})
    return redaction


@given(data)
def test_no_value_under_a_secret_key_is_left(value: Any) -> None:
    hidden = {"api_key": "s3cret", "inner": [{"Token": {"deep": "s3cret"}}, ["TOKEN", 5], "x"]}
    clean, gone = Redaction(["api_key", "token"]).clean(hidden)
    assert clean == {"api_key": REDACTED, "inner": [{"Token": REDACTED}, ["TOKEN", REDACTED], "x"]}
    assert gone == 3
    assert Redaction(["token"]).clean({"token": value}) == ({"token": REDACTED}, 1)


@given(data)
def test_data_without_secrets_is_as_it_was(value: Any) -> None:
    assert Redaction(["no such key"]).clean(value) == (value, 0)
    assert Redaction([]).clean(value) == (value, 0)
    assert learned("a secret that does not stand there", keys=()).clean(value) == (value, 0)


@given(secrets, around, around)
def test_a_secret_is_found_wherever_it_is_quoted(secret: str, before: str, behind: str) -> None:
    redaction = learned(secret)
    in_urls = (
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        re.sub("%..", lambda found: found[0].lower(), quote(secret)),
    )
    for form in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], repr(secret.encode())[2:-1], *in_urls):
        clean, gone = redaction.clean({"text": [f"{before}{form}{behind}"], f"in a key {form}": 1})
        assert gone >= 2
        assert form not in json.dumps(clean, ensure_ascii=False)
        assert form not in str(clean)


@given(secrets, around)
def test_what_is_quoted_is_quoted_again(secret: str, before: str) -> None:
    """An exception quotes an answer, and that was JSON in JSON."""
    redaction = learned(secret)
    for form in [outer(inner(secret)) for outer in (json.dumps, repr) for inner in (json.dumps, repr)]:
        clean, gone = redaction.clean_text(f"{before}{form}")
        assert gone >= 1
        assert REDACTED in clean
        assert clean.replace(REDACTED, "").strip("\\'\"") == before.strip("\\'\"")


@given(st.text(st.characters(codec="utf-8"), min_size=6, max_size=20), around)
def test_other_characters_are_found_however_they_are_written_out(secret: str, before: str) -> None:
    redaction = learned(secret)
    capital = re.sub(r"\\u....", lambda found: "\\u" + found[0][2:].upper(), json.dumps("é" + secret)[7:-1])
    backslashed = secret.encode("ascii", "backslashreplace").decode()
    for form in (
        ascii(secret)[1:-1],
        backslashed,
        capital,
        secret.encode().hex(),
        secret.encode().hex(" ").replace(" ", "").upper(),
    ):
        if len(form) >= 6:
            clean, gone = redaction.clean_text(f"{before}{form}")
            assert gone >= 1
            assert form not in clean


@given(secrets, st.binary(max_size=5), st.binary(max_size=5))
def test_a_secret_in_base64_is_found(secret: str, before: bytes, behind: bytes) -> None:
    redaction = learned(secret)
    alone = base64.b64encode(secret.encode()).decode()
    assert redaction.clean({"raw": alone}) == ({"raw": REDACTED}, 1), "as bytes are stored"
    for encode in base64.b64encode, base64.urlsafe_b64encode:
        form = encode(before + secret.encode() + behind).decode()
        clean, gone = redaction.clean_text(f"Basic {form}")
        assert gone >= 1
        assert len(form) - len(clean) + len(f"Basic {REDACTED}") >= len(secret.encode()) * 8 // 6 - 2


@given(secrets)
def test_bytes_that_are_secret_are_found_as_what_they_are(secret: str) -> None:
    redaction = learned(base64.b64encode(secret.encode()).decode())
    for form in (secret, repr(secret.encode())[2:-1], repr(secret)[1:-1]):
        assert redaction.clean_text(f"it was {form}") == (f"it was {REDACTED}", 1)


@given(secrets, st.integers(6, 40), st.text("xyz ", max_size=9), st.sampled_from(["...", "…", " …", "... (Login)"]))
def test_the_beginning_of_one_is_found_where_a_text_was_cut_off(secret: str, cut: int, before: str, mark: str) -> None:
    redaction = learned("another", secret, secret[:5] + "~", secret[:6] + "~" * 40)
    begin = repr(secret)[1:-1][:cut]
    clean, gone = redaction.clean_text(f"{before}{begin}{mark}")
    assert (clean, gone) == (f"{before}{REDACTED}{mark}", 1)
    clean, gone = redaction.clean_text(f"{'z' * 300}{begin}")
    assert (clean, gone) == (f"{'z' * 300}{REDACTED}", 1)


def test_what_only_begins_as_a_secret_is_none() -> None:
    redaction = learned("password-of-mine")
    for text in (
        "the password",
        "the password is long...",
        "z" * 300 + "password is",
        "password..",
        "z" * 300 + "passw",
    ):
        assert redaction.clean_text(text) == (text, 0)


@given(st.binary(min_size=9, max_size=40), st.binary(max_size=5))
def test_bytes_that_are_no_text_are_found_as_digits_and_in_base64(secret: bytes, before: bytes) -> None:
    redaction = learned(base64.b64encode(secret).decode())
    for form in (secret.hex(), secret.hex().upper()):
        assert redaction.clean_text(f"it was {form}") == (f"it was {REDACTED}", 1)
    for encode in base64.b64encode, base64.urlsafe_b64encode:
        form = encode(before + secret).decode()
        clean, gone = redaction.clean_text(f"Basic {form}")
        assert gone >= 1
        assert len(form) - len(clean) + len(f"Basic {REDACTED}") >= len(secret) * 8 // 6 - 2


@given(st.lists(secrets, min_size=1, max_size=5))
def test_one_that_begins_as_another_one_does(found: list[str]) -> None:
    redaction = learned(*found, *(secret + "9" for secret in found))
    for secret in found:
        assert redaction.clean_text(f"x{secret}9y") == (f"x{REDACTED}y", 1)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Login(user='ada', api_key='hunter2')", "Login(user='ada', api_key='[redacted]')"),
        ('{"API_KEY": "hunter2", "n": 1}', '{"API_KEY": "[redacted]", "n": 1}'),
        ("api_key = hunter2, then", "api_key = [redacted], then"),
        ("GET /?api_key=hunter2&n=1", "GET /?api_key=[redacted]&n=1"),
        ("authorization: Bearer hunter2", "authorization: Bearer [redacted]"),
        ("{'api_key': 'hun\\'ter2'}", "{'api_key': '[redacted]'}"),
        ("my_api_key=kept, api_keys=kept", "my_api_key=kept, api_keys=kept"),
        ("api_key is missing", "api_key is missing"),
        ("api_key=[redacted]", "api_key=[redacted]"),
    ],
)
def test_what_a_text_says_to_be_the_value_of_a_key(text: str, clean: str) -> None:
    assert Redaction(["api_key", "authorization"]).clean_text(text)[0] == clean


def test_a_number_that_is_secret_is_found_as_a_number_and_in_texts() -> None:
    redaction = learned(90_210_555)
    assert redaction.clean({"n": 90_210_555, "m": 90_210_556, "t": "no. 90210555"}) == (
        {"n": REDACTED, "m": 90_210_556, "t": f"no. {REDACTED}"},
        2,
    )


@pytest.mark.parametrize("secret", ["correct horse\nbattery", "two  spaces\tand a tab", "user: ada\r\npin: 1234\n"])
def test_one_of_several_short_lines_is_found_where_a_text_has_become_one_line(secret: str) -> None:
    """As what an exception says becomes, before it is stored."""
    text = f"ValueError: {' '.join(secret.split())} is wrong"
    assert learned(secret).clean_text(text) == (f"ValueError: {REDACTED} is wrong", 1)


def test_a_line_of_a_key_of_several_lines() -> None:
    pem = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\nAgEAAoIBAQC7VJTUt9Us\n-----END KEY-----\n"
    redaction = learned({"pem": [pem]})
    assert redaction.clean_text("cannot parse AgEAAoIBAQC7VJTUt9Us") == (f"cannot parse {REDACTED}", 1)


@pytest.mark.parametrize("value", ["hunter22\n", "\thunter22\r\n", " hunter22 "])
def test_one_that_was_read_from_a_file_is_found_without_what_stands_around_it(value: str) -> None:
    assert learned(value).clean_text("refused: hunter22") == (f"refused: {REDACTED}", 1)


def test_a_long_line_between_short_ones_is_looked_for_and_a_short_one_is_not() -> None:
    redaction = learned("ada\nAgEAAoIBAQC7VJTUt9Us\nyours truly")
    assert redaction.clean_text("yours truly: AgEAAoIBAQC7VJTUt9Us") == (f"yours truly: {REDACTED}", 1)


def test_half_a_character_in_one_is_no_error() -> None:
    assert learned("half \udcff a word").clean_text("it was half \udcff a word") == (f"it was {REDACTED}", 1)


def test_what_stands_under_other_names_is_no_secret_and_a_name_in_a_pair_is_one() -> None:
    redaction = Redaction(["api_key", "Token", "password", ""])
    redaction.learn({"user": "ada lovelace", "held": [["TOKEN", "s3cret-one"], {"Api_Key": ["s3cret-two", {"n": 1}]}]})
    redaction.learn(["password", "not of a pair", "nor this"])
    assert redaction.unmet == ["password"]
    assert redaction.clean_text("ada lovelace, s3cret-one, s3cret-two, not of a pair") == (
        f"ada lovelace, {REDACTED}, {REDACTED}, not of a pair",
        2,
    )


def test_only_one_with_keys_is_true_and_each_place_in_a_text_counts() -> None:
    assert Redaction(["api_key"])
    assert not Redaction(["", ""])
    assert Redaction(["api_key"]).clean_text("api_key=one, api_key=two")[1] == 2


def test_a_short_one_is_hidden_under_its_key_only() -> None:
    assert learned("no").clean({"api_key": "no", "text": "nobody"}) == ({"api_key": REDACTED, "text": "nobody"}, 1)


def test_values_that_begin_alike_are_not_compared_each_with_each() -> None:
    asked = 0

    class Token(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal asked
            asked += 1
            return super().__eq__(other)

    count = 400
    redaction = learned(*(Token(f"sk-live-{number:04}") for number in range(count)))
    assert asked < 40 * count
    said = ", ".join(f"sk-live-{number:04}" for number in range(2 * count))
    clean, gone = redaction.clean_text(said)
    assert gone == clean.count(REDACTED) == count
    assert f"sk-live-{count - 1:04}" not in clean
    assert clean.endswith(f"sk-live-{2 * count - 1:04}")
