"""AES-256-GCM boxes, how their keys are wrapped, and Ed25519; the only place that knows `cryptography`.

A box is a random nonce of 12 bytes, the ciphertext and its tag. `about` is bound to it: opened with other
words it is damaged, so nothing in the database can be put in another's place.
"""

import os
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocol.errors import JournalDamaged
from store.keyring import Key, derived

NONCE = 12
PUBLIC = PRIVATE = 32
BY_KEY, BY_PUBLIC_HALF = b"\x01", b"\x02"
"""How a data key is wrapped: the first byte says it."""


def seal(data_key: bytes, plain: bytes, about: str) -> bytes:
    """Return a box with *plain* in it."""
    nonce = os.urandom(NONCE)
    return nonce + AESGCM(data_key).encrypt(nonce, plain, about.encode())


def unseal(data_key: bytes, box: bytes, about: str) -> bytes:
    """Return what is in a box. Raises JournalDamaged where it is not what was sealed."""
    try:
        return AESGCM(data_key).decrypt(box[:NONCE], box[NONCE:], about.encode())
    except (InvalidTag, ValueError):
        raise JournalDamaged(f"what was sealed for {about} cannot be opened") from None


def public_half(key: Key) -> bytes:
    """Return what anybody may know of a key: enough to seal, not to open."""
    return X25519PrivateKey.from_private_bytes(key.private).public_key().public_bytes_raw()


def wrap(key: Key, data_key: bytes, about: str) -> bytes:
    """Return *data_key* as only *key* gives it back."""
    return BY_KEY + seal(key.wrapping, data_key, about)


def wrap_for(public: bytes, data_key: bytes, about: str) -> bytes:
    """Do the same with nothing but a key's public half (X25519, its secret through HKDF)."""
    once = X25519PrivateKey.from_private_bytes(os.urandom(PRIVATE))
    sent = once.public_key().public_bytes_raw()
    shared = once.exchange(X25519PublicKey.from_public_bytes(public))
    return BY_PUBLIC_HALF + sent + seal(_agreed(shared, sent, public), data_key, about)


def unwrap(key: Key, wrapped: bytes, about: str) -> bytes:
    """Return a data key, in whichever way it was wrapped. Raises JournalDamaged."""
    if wrapped[:1] == BY_KEY:
        return unseal(key.wrapping, wrapped[1:], about)
    sent, box = wrapped[1 : 1 + PUBLIC], wrapped[1 + PUBLIC :]
    try:
        if wrapped[:1] != BY_PUBLIC_HALF:
            raise ValueError(wrapped[:1])
        shared = X25519PrivateKey.from_private_bytes(key.private).exchange(
            X25519PublicKey.from_public_bytes(sent)
        )
    except ValueError:
        raise JournalDamaged(f"the key of what was sealed for {about} is damaged") from None
    return unseal(_agreed(shared, sent, public_half(key)), box, about)


def _agreed(shared: bytes, sent: bytes, public: bytes) -> bytes:
    return derived(shared, f"checkup-gateway sealed for {sent.hex()} {public.hex()} 1")


@lru_cache(maxsize=4)
def _signer(signing: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(signing)


def checking_half(key: Key) -> bytes:
    """Return what anybody may check the key's signatures with."""
    return _signer(key.signing).public_key().public_bytes_raw()


def sign(key: Key, message: bytes) -> bytes:
    """Return the key's Ed25519 signature over *message*, 64 bytes, always the same."""
    return _signer(key.signing).sign(message)


def verified(checking: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether *signature* over *message* was made with the key whose half to check with this is."""
    try:
        Ed25519PublicKey.from_public_bytes(checking).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
