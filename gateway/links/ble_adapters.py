"""Which of the box's Bluetooth adapters is used, and what may block it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from protocol.errors import Unavailable


@dataclass(frozen=True, slots=True)
class AdapterInfo:
    """One Bluetooth adapter; the address stays when it is plugged in elsewhere, the name may not."""

    name: str
    address: str
    powered: bool


def chosen(found: Sequence[AdapterInfo], wanted: str | None, root: Path) -> AdapterInfo:
    """Return the only adapter of *found*, or the one whose name or address is *wanted*.

    Raises Unavailable: `radio.none`, `radio.blocked` where rfkill hides it, `radio.several`.
    """
    named = ", ".join(f"{one.name} {one.address}" for one in found)
    fitting = [one for one in found if wanted in {None, one.name, one.address}]
    if not fitting and (why := blocked(root)):
        raise Unavailable(why, code="radio.blocked")
    if not fitting:
        raise Unavailable(f"wanted: {wanted}, there: {named}", code="radio.none")
    if len(fitting) > 1:
        raise Unavailable(named, code="radio.several")
    return fitting[0]


def blocked(root: Path) -> str:
    """Return what blocks Bluetooth, as rfkill tells under *root*; empty where nothing does."""
    for switch in sorted((root / "sys/class/rfkill").glob("rfkill*")):
        with suppress(OSError):
            kind, name, hard, soft = (
                (switch / attribute).read_text(encoding="ascii").strip()
                for attribute in ("type", "name", "hard", "soft")
            )
            if kind == "bluetooth" and "1" in {hard, soft}:
                return f"{name}: {'a switch of the box' if hard == '1' else 'rfkill unblock bluetooth'}"
    return ""
