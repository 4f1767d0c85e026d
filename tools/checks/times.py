"""The box's clocks."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from gateway import messages
from gateway.clock import kernel_synchronised
from gateway.times import NO_EARLIER
from tools.checks.report import Box, Check, Fact

SETTERS = {"chronyd", "ntpd", "systemd-timesyn", "openntpd"}
"""Programs that set the clock from the network, by the first 15 characters of their names."""
CLOCKS_APART_S = 60
"""Ours: from there on the real-time clock is called wrong."""


def clock(box: Box) -> Check:
    """The wall clock says a time that can be, and the kernel calls it synchronised."""
    now = box.now()
    setters = sorted(SETTERS & box.programs())
    synchronised = kernel_synchronised()
    by = f", kept by {', '.join(setters)}" if setters else ", and no program here keeps it"
    said = f"{now.isoformat(timespec='seconds')}, {'' if synchronised else 'not '}synchronised{by}"
    facts: dict[str, Fact] = {"synchronised": synchronised, "kept_by": " ".join(setters), "year": now.year}
    if now < NO_EARLIER:
        means = 'The clock lies years back. Measurements are stored and marked "to be verified".'
        return Check(
            "clock", "fail", said, means, "Connect to a network with a time server.", "timedatectl", facts
        )
    if synchronised:
        return Check("clock", "ok", said, facts=facts)
    means = messages.text("clock.unsynchronised", "en")
    do, run = "Connect to a network with a time server.", "timedatectl"
    if not setters:
        do, run = "Install a program that sets the clock.", "apt install systemd-timesyncd"
    return Check("clock", "warn", said, means, do, run, facts)


def real_time_clock(box: Box) -> Check:
    """The box has a clock that goes on without power, and it agrees with the wall clock."""
    name = "real-time clock"
    found = _real_time(box)
    if found is None:
        means = "After a power cut without a network the time is unknown; measurements are marked so."
        do = "Add a real-time clock module where power fails often."
        return Check(name, "warn", "none", means, do, "", {"there": False})
    apart = round((found - box.now()).total_seconds())
    facts = {"there": True, "apart_s": apart}
    if abs(apart) <= CLOCKS_APART_S:
        return Check(name, "ok", f"there, {apart:+d} s from the wall clock", facts=facts)
    means = "After the next power cut the box starts with a wrong time."
    do = "Once the wall clock is synchronised, set it (it may also need a new battery)."
    return Check(
        name, "warn", f"{apart:+d} s from the wall clock", means, do, "hwclock --systohc --utc", facts
    )


def _real_time(box: Box) -> datetime | None:
    clocks: list[Path] = sorted((box.root / "sys/class/rtc").glob("rtc*"))
    for one in clocks:
        with suppress(ValueError, OverflowError):
            return datetime.fromtimestamp(int(box.text(f"sys/class/rtc/{one.name}/since_epoch")), UTC)
    return None
