"""The key to people's names and to the signatures: 32 random bytes in a file, never in the database.

Standard library only: a start reads the key, but needs no cryptography package before a person is shown.
"""

import contextlib
import errno
import hmac
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from protocol.errors import StoreError
from store.durable import sync

SECRET_BYTES = 32
WORDS = """\
# The key to the names in the journal of the checkup gateway. Without it no name can ever be read again:
# keep a copy in a safe place, never beside a copy of the journal.
"""
_LINE = re.compile(rf"[0-9a-f]{{{2 * SECRET_BYTES}}}")


def derived(secret: bytes, purpose: str) -> bytes:
    """Return 32 bytes for one purpose: HKDF-SHA256 (RFC 5869) without salt, *purpose* as its info."""
    extracted = hmac.digest(bytes(32), secret, "sha256")
    return hmac.digest(extracted, purpose.encode() + b"\x01", "sha256")


NEVER_SYNCED = frozenset({errno.EINVAL, errno.EROFS})
"""How a file system answers on which nothing is ever written."""


@dataclass(frozen=True, slots=True)
class Key:
    """What one secret is used for; `id` names it everywhere and says nothing about it."""

    id: str
    wrapping: bytes = field(repr=False)
    """Wraps people's data keys."""
    private: bytes = field(repr=False)
    """Opens what was sealed with nothing but the public half at hand."""
    lookup: bytes = field(repr=False)
    signing: bytes = field(repr=False)
    """Signs the ends of the journal's chain."""

    @classmethod
    def of(cls, secret: bytes) -> "Key":
        """Derive everything from *secret*."""
        uses = ("wrapping", "private", "lookup", "signing")
        wrapping, private, lookup, signing = (derived(secret, f"checkup-gateway {use} 1") for use in uses)
        return cls(derived(secret, "checkup-gateway name 1")[:8].hex(), wrapping, private, lookup, signing)

    def digest(self, value: str) -> bytes:
        """Return what a person's number is looked up by: HMAC-SHA256, of no use without the key."""
        return hmac.digest(self.lookup, value.encode(), "sha256")


def default_file(journal: Path) -> Path:
    """Return where the key of *journal* lies if nobody says otherwise: in a folder beside the journal's."""
    folder = journal.absolute().parent
    return folder.with_name(f"{folder.name}-key") / "key"


def read(path: Path) -> list[bytes]:
    """Return the secrets in a key file, the one to use first.

    Raises StoreError `vault.key_missing` where there is no file, `vault.key_unreadable` where it cannot be
    read or is no key file.
    """
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        raise StoreError(str(path), code="vault.key_missing") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a text"
        raise StoreError(f"{path}: {reason}", code="vault.key_unreadable") from None
    lines = [line.strip() for line in text.splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    if not found or not all(_LINE.fullmatch(line) for line in found):
        raise StoreError(f"{path}: not a key file", code="vault.key_unreadable")
    return [bytes.fromhex(line) for line in dict.fromkeys(found)]


def new() -> bytes:
    """Return a new secret."""
    return secrets.token_bytes(SECRET_BYTES)


def make(path: Path, like: Path | None = None) -> bytes:
    """Write a new secret to the new file *path* (0600, its folder 0700) and return it once it is on disk.

    Who owns *like* owns what is made here. Raises StoreError `vault.key_unwritable`; a file that is there is
    never written over.
    """
    secret = new()
    try:
        there = path.parent.exists()
        above = [folder.parent for folder in path.parents if not folder.exists()]
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = _draft(path, [secret])
        if like is not None:
            for made in (draft, *([] if there else [path.parent])):
                os.chown(made, like.stat().st_uid, like.stat().st_gid)
        try:
            os.link(draft, path)
        finally:
            draft.unlink()
        for folder in (path.parent, *above):
            sync(folder)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}", code="vault.key_unwritable") from error
    return secret


def replace(path: Path, kept: Sequence[bytes]) -> None:
    """Let the file *path* hold these secrets, the one to use first; at every moment it is whole.

    Its owner stays its owner. Raises StoreError `vault.key_unwritable`.
    """
    try:
        draft = _draft(path, kept)
        with contextlib.suppress(FileNotFoundError):
            before = path.stat()
            os.chown(draft, before.st_uid, before.st_gid)
        draft.replace(path)
        sync(path.parent)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}", code="vault.key_unwritable") from error


def _draft(path: Path, kept: Sequence[bytes]) -> Path:
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(WORDS + "".join(f"{secret.hex()}\n" for secret in kept))
        file.flush()
        os.fsync(file.fileno())
    return draft


def secure(path: Path) -> None:
    """Make the key file *path* durable, whoever wrote it: nothing may be sealed with a key that can still go.

    Raises StoreError `vault.key_unwritable`.
    """
    try:
        for one in (path, path.parent):
            sync(one)
    except OSError as error:
        if error.errno not in NEVER_SYNCED:
            raise StoreError(f"{path}: {error.strerror}", code="vault.key_unwritable") from error
