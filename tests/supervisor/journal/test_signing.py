"""Heads that are signed with ed25519: who can check them cannot make them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.core.retention import EventRetention
from treewarden.supervisor.journal.anchoring import Anchoring, anchored, key_from, load_anchors, public_key_from
from treewarden.supervisor.pruning import Pruning
from treewarden.supervisor.testing import inline_run_sync
from treewarden.topologies.cli import main

from ...journals import WallClock, fact, on_disk, settle


def keys(folder: Path, name: str = "sign") -> tuple[Path, Path]:
    private = Ed25519PrivateKey.generate()
    secret, public = folder / f"{name}.pem", folder / f"{name}.pub"
    secret.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return secret, public


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A journal whose heads were kept under a private key, and that was pruned under it."""
    secret, _ = keys(tmp_path)
    keys(tmp_path, "other")

    async def write() -> None:
        sign = key_from(secret)
        heads = Anchoring(file=tmp_path / "heads", sign=sign)
        for turn in range(2):
            async with (
                on_disk(tmp_path / "tree.db") as journal,
                anchored(journal, heads, WallClock(), run_sync=inline_run_sync) as covered,
            ):
                for number in range(1, 11):
                    await journal.commit(settle(10 * turn + number, events=[fact(number)]))
                await Pruning(journal, WallClock(), sign, covered).prune(EventRetention(last=2), "ada")

    trio.run(write)
    return tmp_path / "tree.db"


def verify(file: Path, *words: str) -> int:
    return main(["journal", "verify", str(file), "--head", str(file.with_name("heads")), *words])


def test_the_public_key_is_enough_to_check(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--public-key", str(file.with_name("sign.pub"))], ["--key", str(file.with_name("sign.pem"))]):
        assert verify(file, *words) == 0
        out = capsys.readouterr().out
        assert "2 heads kept outside lead through it" in out
        assert "not checked" not in out


def test_what_was_signed_by_somebody_else_is_found(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(file, "--public-key", str(file.with_name("other.pub"))) == 1
    assert "forged" in capsys.readouterr().out
    heads = file.with_name("heads")
    heads.write_text(heads.read_text().replace('"at":', '"at":1'))
    assert verify(file, "--public-key", str(file.with_name("sign.pub"))) == 1
    for line in ("mac", "ed25519:"):
        text = heads.read_text().replace(line, "none")
        heads.write_text(text)
        assert load_anchors(heads, check=public_key_from(file.with_name("sign.pub"))).faults


def test_a_signature_is_of_that_text_by_that_key_and_says_how_it_was_made(tmp_path: Path) -> None:
    secret, public = keys(tmp_path)
    other, _ = keys(tmp_path, "other")
    made, check = key_from(secret)(b"text"), public_key_from(public)
    assert check(b"text", made) is True
    for text, signature in (
        (b"another", made),
        (b"text", key_from(other)(b"text")),
        (b"text", made.removeprefix("ed25519:")),
        (b"text", made[:-2]),
        (b"text", "ed25519:none"),
        (b"text", ""),
    ):
        assert check(text, signature) is False


def test_a_key_that_is_none_is_refused(tmp_path: Path) -> None:
    secret, public = keys(tmp_path)
    other = tmp_path / "ec.pem"
    elliptic = generate_private_key(SECP256R1())
    other.write_bytes(elliptic.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(ConfigurationError, match=r"no private key of ed25519 in PEM \(it is of another kind\)"):
        key_from(other)
    with pytest.raises(ConfigurationError, match="no private key of ed25519 in PEM"):
        key_from(public)
    with pytest.raises(ConfigurationError, match="no public key of ed25519 in PEM"):
        public_key_from(secret)
    other.write_bytes(elliptic.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(ConfigurationError, match=r"no public key of ed25519 in PEM \(it is of another kind\)"):
        public_key_from(other)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        public_key_from(tmp_path / "none")
    assert main(["journal", "verify", "x", "--public-key", str(public)]) == 2


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, public = keys(tmp_path)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    for read, key in ((key_from, secret), (public_key_from, public)):
        with pytest.raises(ConfigurationError, match=r"pip install 'treewarden\[sign\]'"):
            read(key)
