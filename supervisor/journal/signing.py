"""Signatures that whoever checks them cannot make: ed25519 (RFC 8032), through the package `cryptography`."""

from __future__ import annotations

from typing import Final

from treewarden.agents.errors import ConfigurationError

from ..core.anchor import Check, Sign

__all__ = ["ed25519_check", "ed25519_sign"]

_MARK: Final = "ed25519:"
_MISSING: Final = "ed25519 needs the package cryptography: pip install 'treewarden[sign]'"


def ed25519_sign(pem: bytes, name: str) -> Sign:
    """The signature under a private key in PEM, without a password; `name` is where it came from, for errors.

    Raises `ConfigurationError` for anything else, and where the package is missing.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError as error:
        raise ConfigurationError(_MISSING) from error
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise _no_key(name, "private", error) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(name, "private", "it is of another kind")
    return lambda text: f"{_MARK}{key.sign(text).hex()}"


def ed25519_check(pem: bytes, name: str) -> Check:
    """The check by a public key in PEM. Raises as `ed25519_sign`."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError as error:
        raise ConfigurationError(_MISSING) from error
    try:
        key = load_pem_public_key(pem)
    except (ValueError, TypeError) as error:
        raise _no_key(name, "public", error) from error
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key(name, "public", "it is of another kind")

    def check(text: bytes, signature: str) -> bool:
        try:
            key.verify(bytes.fromhex(signature.removeprefix(_MARK)), text)
        except (InvalidSignature, ValueError):
            return False
        return signature.startswith(_MARK)

    return check


def _no_key(name: str, kind: str, why: object) -> ConfigurationError:
    make = "openssl genpkey -algorithm ed25519 -out sign.pem && openssl pkey -in sign.pem -pubout -out sign.pub"
    return ConfigurationError(f"{name} holds no {kind} key of ed25519 in PEM ({why}); make a pair with: {make}")
