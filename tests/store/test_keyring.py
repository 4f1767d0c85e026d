"""The key file: made once for its owner only, never written over, whole at every moment; what a key gives."""

import os
import stat

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import JournalDamaged, StoreError
from store import cipher, keyring
from store.keyring import Key

SECRETS = st.binary(min_size=32, max_size=32)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_is_made_for_its_owner_only_and_read_back(tmp_path):
    path = tmp_path / "deep" / "folder" / "key"
    secret = keyring.make(path)
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert keyring.read(path) == [secret]
    assert len(secret) == 32
    assert [one.name for one in path.parent.iterdir()] == ["key"]
    assert keyring.make(tmp_path / "other") != secret


def test_a_key_that_is_there_is_never_written_over(tmp_path):
    path = tmp_path / "key"
    secret = keyring.make(path)
    with pytest.raises(StoreError) as refused:
        keyring.make(path)
    assert refused.value.code == "vault.key_unwritable"
    assert keyring.read(path) == [secret]
    assert [one.name for one in tmp_path.iterdir()] == ["key"]


def test_several_keys_the_one_to_use_first_and_the_owner_stays(tmp_path):
    path = tmp_path / "key"
    old = keyring.make(path)
    if os.geteuid() == 0:
        os.chown(path, 1234, 4321)
    owner = path.stat().st_uid, path.stat().st_gid
    new = keyring.new()
    keyring.replace(path, [new, old])
    assert keyring.read(path) == [new, old]
    assert (mode(path), path.stat().st_uid, path.stat().st_gid) == (0o600, *owner)


def test_a_key_as_an_administrator_makes_it(tmp_path):
    path = tmp_path / "key"
    path.write_text("ab" * 32 + "\n")
    assert keyring.read(path) == [b"\xab" * 32]


@pytest.mark.parametrize("text", ["", "# nothing\n", "ab" * 31, "AB" * 32, "ab" * 32 + " x", "钥", "ab" * 64])
def test_what_is_no_key_file_is_told(tmp_path, text):
    path = tmp_path / "key"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StoreError) as refused:
        keyring.read(path)
    assert refused.value.code == "vault.key_unreadable"
    assert "ab" * 31 not in refused.value.detail


def test_no_file_and_no_place_are_told_apart(tmp_path):
    with pytest.raises(StoreError) as refused:
        keyring.read(tmp_path / "key")
    assert refused.value.code == "vault.key_missing"
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError) as refused:
        keyring.make(tmp_path / "file" / "key")
    assert refused.value.code == "vault.key_unwritable"


@given(SECRETS, st.text())
def test_derived_as_rfc_5869_says(secret, purpose):
    assert keyring.derived(secret, purpose) == HKDF(SHA256(), 32, None, purpose.encode()).derive(secret)


def test_a_key_shows_nothing_of_itself_but_its_name():
    secret = keyring.new()
    key = Key.of(secret)
    shown = repr(key)
    assert key.id in shown
    assert not any(part.hex() in shown or repr(part) in shown for part in (secret, key.wrapping, key.lookup))


@given(SECRETS, SECRETS, st.binary(), st.text(), st.text())
def test_only_the_right_key_and_the_right_words_open(secret, other, plain, about, elsewhere):
    key, data_key = Key.of(secret), keyring.new()
    box = cipher.seal(data_key, plain, about)
    for wrapped in (
        cipher.wrap(key, data_key, about),
        cipher.wrap_for(cipher.public_half(key), data_key, about),
    ):
        assert cipher.unseal(cipher.unwrap(key, wrapped, about), box, about) == plain
        if other != secret:
            with pytest.raises(JournalDamaged):
                cipher.unwrap(Key.of(other), wrapped, about)
        if elsewhere != about:
            with pytest.raises(JournalDamaged):
                cipher.unwrap(key, wrapped, elsewhere)
            with pytest.raises(JournalDamaged):
                cipher.unseal(data_key, box, elsewhere)


@given(st.data())
def test_a_changed_bit_anywhere_is_noticed_and_never_raises_anything_else(data):
    key, data_key = Key.of(bytes(32)), bytes(range(32))
    public = cipher.public_half(key)
    for open_, box in (
        (lambda one: cipher.unseal(data_key, one, "a"), cipher.seal(data_key, b"plain", "a")),
        (lambda one: cipher.unwrap(key, one, "a"), cipher.wrap(key, data_key, "a")),
        (lambda one: cipher.unwrap(key, one, "a"), cipher.wrap_for(public, data_key, "a")),
    ):
        bit = data.draw(st.integers(0, len(box) * 8 - 1))
        changed = bytearray(box)
        changed[bit // 8] ^= 1 << bit % 8
        for damaged in (bytes(changed), box[: data.draw(st.integers(0, len(box) - 1))]):
            with pytest.raises(JournalDamaged):
                open_(damaged)
