"""Which settings changed since the last start: each known by its path, its value by a short hash."""

import hashlib
from collections.abc import Iterable, Mapping

import msgspec

from gateway.config import Config
from store.audit import ITSELF, Entry
from store.facts import Audited

DIGITS = 12
"""Hexadecimal digits that stand for a setting's value: enough to see a change."""
SETTINGS = "settings"


def entry(config: Config, release: str, last: Entry | None) -> Audited | None:
    """Return what to write down at a start after *last*, the latest of these; None where nothing changed.

    No secret is in it: the configuration holds none, only the names of files that do.
    """
    before = _settings(last.detail.get(SETTINGS, "")) if last else {}
    now = fingerprints(config) | {"release": _hash(release)}
    if before == now:
        return None
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    written = " ".join(f"{key}={value}" for key, value in sorted(now.items()))
    whole = hashlib.sha256(written.encode()).hexdigest()
    reason = "changed since the last start" if last else "first start"
    said = {"changed": " ".join(changed), "release": release, SETTINGS: written}
    return Audited(ITSELF, "configured", whole, reason, detail=said)


def fingerprints(config: Config) -> dict[str, str]:
    """Return the hash of every setting by its path; a device's stand under its name, not its number."""
    plain = config.model_dump(mode="json", exclude={"devices"})
    devices = {device.name: device.model_dump(mode="json") for device in config.devices}
    return {path: _hash(value) for path, value in _leaves({**plain, "devices": devices}, "")}


def _leaves(value: object, path: str) -> Iterable[tuple[str, object]]:
    if not isinstance(value, Mapping):
        yield path, value
        return
    for key, item in value.items():
        name = "".join(str(key).split())
        yield from _leaves(item, f"{path}.{name}" if path else name)


def _hash(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()[:DIGITS]


def _settings(written: str) -> dict[str, str]:
    return {key: value for key, _, value in (one.rpartition("=") for one in written.split())}
