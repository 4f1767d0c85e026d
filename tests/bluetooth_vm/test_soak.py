"""A day at the clinic: the service as it is started in the field, 60 people, five machines, one of ten bad.

Nothing is lost, nothing is bound to the wrong person, the radio recovers each time. The pauses between people
are left out, since nothing depends on them. How long it took from the sending of a value to the moment in
which another process can read it from the journal (after the fsync of its COMMIT) goes to `soak.json`.
"""

import asyncio
import contextlib
import json
import os
import platform
import signal
import sqlite3
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import air_scenarios as scenarios
import httpx2
import pytest
from box import ADAPTER, KERNEL, becomes, kill_bluetoothd, machine_in, plugged, start_bluetoothd
from dbus_fast import Variant
from peripheral import Machine, blood_pressure, glucose, weight
from room import here_and_now, until

from gateway.links.ble_bluez import Bluez
from tools.air import Air
from tools.people import person
from tools.stage import free_port

EXAMS = int(os.environ.get("BLUETOOTH_EXAMS", "60"))
FIRST = int(os.environ.get("BLUETOOTH_FIRST", "0"))
"""Where only a part of the day is played: its first exam, which decides who misbehaves and how."""
EVERY = 10
"""One exam of so many has a machine that misbehaves."""
PATIENCE_S = 600.0
OLD = timedelta(days=6)
DRIVERS = {
    "cuff-1": "sig_blood_pressure",
    "cuff-2": "sig_blood_pressure",
    "meter-1": "sig_glucose",
    "scale-1": "sig_weight_scale",
    "cuff-3": "sig_blood_pressure",
}
SECURE = {
    "cuff-2": {"secure": "encrypted"},
    "meter-1": {"secure": "authenticated", "passkey": scenarios.PASSKEY},
}


@dataclass
class Day:
    """What is at hand, and what came of it."""

    machines: dict[str, Machine]
    http: httpx2.AsyncClient
    journal: sqlite3.Connection
    bluez: Bluez
    waits: list[float] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    old: int = 0
    """Records of other days that were told: they are nobody's."""
    sent: float = 0.0
    """When the result of this exam was sent, as the machine's clock that only goes on has it."""

    def stored(self) -> int:
        return int(self.journal.execute("SELECT count(*) FROM measurements").fetchone()[0])

    async def get(self, path: str):
        answer = await self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: dict):
        answer = await self.http.post(path, json=body)
        assert answer.status_code in {200, 201}, answer.text
        return answer.json()


def shown(device: str, number: int) -> tuple[str, Decimal]:
    """Return what the machine shows in exam *number*, which no other exam has: the measure and its value."""
    if DRIVERS[device] == "sig_glucose":
        return "glucose", Decimal(40 + number) / 10
    if DRIVERS[device] == "sig_weight_scale":
        return "body_weight", Decimal(50 + number)
    return "systolic", Decimal(100 + number)


def value(device: str, number: int, ago: timedelta = timedelta(0)) -> bytes:
    """Return the same as the machine tells it, taken in a second (a measurement ends after it began)."""
    when = (here_and_now() + timedelta(seconds=1) - ago).timetuple()[:6]
    if DRIVERS[device] == "sig_glucose":
        return glucose(number + 1, 40 + number, when)
    if DRIVERS[device] == "sig_weight_scale":
        return weight(50 + number, 22, 1.7, when)
    return blood_pressure(100 + number, 60, 80, 70, when)


async def tells(day: Day, device: str, number: int, *before: bytes) -> None:
    """Wake the machine; tell *before* and then its result to whoever listens, once it was confirmed sleep."""
    machine = day.machines[device]
    confirmed = asyncio.Event()
    if DRIVERS[device] == "sig_glucose":
        machine.records[number + 1] = value(device, number)

        async def noted(record: int) -> None:
            if record == number + 1 and not confirmed.is_set():
                machine.records[record] = value(device, number)  # measured just now, however slow this box is
                day.sent = time.monotonic()
                confirmed.set()

        machine.before_record = noted
        await machine.advertise()
        return
    told = machine.weight_measurement if device.startswith("scale") else machine.bp_measurement

    async def tell(connection) -> None:
        for rubbish in before:
            await machine.device.indicate_subscribers(told, rubbish)
        taken = value(device, number)
        day.sent = time.monotonic()
        await machine.device.indicate_subscribers(told, taken)
        confirmed.set()

    def listened(connection, notify: bool, indicate: bool) -> None:
        if indicate and not confirmed.is_set():
            connection.cancel_on_disconnection(tell(connection))

    told.remove_all_listeners("subscription")
    told.on("subscription", listened)
    await machine.advertise()


async def breaks_off(day: Day, number: int) -> None:
    """The link goes before the result was confirmed; the machine tells it again."""
    machine = day.machines["cuff-1"]
    lost = asyncio.Event()

    def cut(*_: object) -> None:
        if not lost.is_set():
            lost.set()
            machine.controller.lose_link()

    await tells(day, "cuff-1", number)
    machine.bp_measurement.once("subscription", cut)
    await lost.wait()


async def rubbish(day: Day, number: int) -> None:
    """Oversized values and flags that promise what is not there come before the result."""
    short = [bytes([flags]) + bytes(5) for flags in scenarios.FLAGS]
    await tells(day, "cuff-3", number, bytes([0x1F] * 500), *short)


async def an_old_record(day: Day, number: int) -> None:
    """A result of six days ago comes with the new one: it is nobody's."""
    day.old += 1
    await tells(day, "cuff-3", number, value("cuff-3", number, OLD))


async def bluetoothd_killed(day: Day, number: int) -> None:
    """The Bluetooth service dies while the machine is awaited; systemd starts it again."""
    kill_bluetoothd(signal.SIGKILL)
    await start_bluetoothd()
    await tells(day, "cuff-1", number)


async def adapter_off(day: Day, number: int) -> None:
    """Somebody switches the adapter off."""
    await day.bluez._set(day.bluez._path, "org.bluez.Adapter1", "Powered", Variant("b", False))
    await tells(day, "cuff-3", number)


async def forgot_its_bond(day: Day, number: int) -> None:
    """New batteries: the machine does not know the box any more."""
    await day.machines["cuff-2"].forget_bonds()
    await tells(day, "cuff-2", number)


BAD: tuple[tuple[str, Callable[[Day, int], Awaitable[None]]], ...] = (
    ("cuff-1", breaks_off),
    ("cuff-3", rubbish),
    ("cuff-1", bluetoothd_killed),
    ("cuff-3", an_old_record),
    ("cuff-3", adapter_off),
    ("cuff-2", forgot_its_bond) if KERNEL >= (6, 12) else ("cuff-1", breaks_off),
)


async def measures(day: Day, number: int) -> str:
    """Let exam *number*'s machine measure, well or badly; return which one it was."""
    if number % EVERY == EVERY - 1:
        device, misbehave = BAD[number // EVERY % len(BAD)]
        day.bad.append(misbehave.__name__)
        await misbehave(day, number)
        return device
    device = list(DRIVERS)[number % len(DRIVERS)]
    await tells(day, device, number)
    return device


async def exam(day: Day, number: int) -> None:
    """Play one exam; AssertionError where the result is not there, once, and this person's."""
    who = person(number)
    identifiers = [{"system": "cn-id", "value": who.cn_id}]
    asked = {"resident": {"identifiers": identifiers, "name": who.name}, "operator": "li"}
    opened = (await day.post("/v1/exams", asked))["id"]
    before, old = day.stored(), day.old
    device = await measures(day, number)
    await until(lambda: day.stored() == before + 1 + day.old - old, PATIENCE_S)
    day.waits.append(time.monotonic() - day.sent)
    await day.machines[device].sleep()
    [measured] = (await day.get(f"/v1/exams/{opened}"))["measurements"]
    name, said = shown(device, number)
    assert Decimal(measured["values"][name]["value"]) == said, "this person's result and no other"
    assert measured["status"] != "unbound"
    await day.post(f"/v1/exams/{opened}/close", {"operator": "li"})


def configuration(folder: Path, machines: dict[str, Machine], port: int) -> Path:
    digits = folder / "passkey"
    digits.write_text(str(scenarios.PASSKEY), encoding="ascii")
    devices = "".join(
        f'[[devices]]\nname = "{name}"\ndriver = "{DRIVERS[name]}"\nport = "ble:{machine.address}"\n'
        + ('settings.pairing = "just_works"\n' if name == "cuff-2" else "")
        for name, machine in machines.items()
    )
    path = folder / "gateway.toml"
    passkeys = f'{{ "{machines["meter-1"].address}" = "{digits}" }}'
    path.write_text(
        f'gateway = "soak-1"\nstate = "{folder / "state"}"\n[http]\nport = {port}\n'
        f'[bluetooth]\nadapter = "{ADAPTER}"\npasskey_files = {passkeys}\n{devices}',
        encoding="utf-8",
    )
    return path


@contextlib.asynccontextmanager
async def service(folder: Path, machines: dict[str, Machine]) -> AsyncIterator[httpx2.AsyncClient]:
    """Run `checkup-gateway run` as the unit does; yields a client once it answers."""
    port = free_port()
    log = (folder / "gateway.log").open("wb")
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tools.main", "run", "--config", str(configuration(folder, machines, port)),
        stdout=log, stderr=log,
    )  # fmt: skip
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:

        async def answers() -> bool:
            assert running.returncode is None, (folder / "gateway.log").read_text()[-2000:]
            with contextlib.suppress(httpx2.HTTPError):
                return (await http.get("/livez")).status_code == 200
            return False

        try:
            await becomes(answers, 120)
            yield http
        finally:
            running.terminate()
            await running.wait()
            log.close()
            out = Path(os.environ["BLUETOOTH_OUT"]) / "gateway.log"
            out.write_bytes((folder / "gateway.log").read_bytes())


@pytest.mark.timeout(0)  # each exam has a patience of its own
async def test_a_day_of_exams(tmp_path: Path):
    air, bluez = Air(), Bluez()
    machines = {
        name: machine_in(air, number, clock=here_and_now, **SECURE.get(name, {}))
        for number, name in enumerate(DRIVERS, 1)
    }
    for machine in machines.values():
        machine.record_interval = 0
        await machine.device.power_on()
    async with plugged(air, bluez), service(tmp_path, machines) as http:
        journal = sqlite3.connect(f"file:{tmp_path}/state/journal.db?mode=ro", uri=True)
        day = Day(machines, http, journal, bluez)
        began = time.monotonic()
        for number in range(FIRST, FIRST + EXAMS):
            await exam(day, number)
            print(f"exam {number + 1}: {day.waits[-1] * 1000:.0f} ms", day.bad[-1:], flush=True)
        stored = day.stored()
        journal.close()
    await bluez.close()
    assert stored == EXAMS + day.old
    report(day, stored, time.monotonic() - began)


def report(day: Day, stored: int, seconds: float) -> None:
    waits = sorted(wait * 1000 for wait in day.waits)
    percentile = statistics.quantiles(waits, n=100, method="inclusive")
    told = {
        "schema": 1,
        "exams": EXAMS,
        "measurements": stored,
        "of_nobody": day.old,
        "misbehaved": {name: day.bad.count(name) for name in dict.fromkeys(day.bad)},
        "sent_to_durable_ms": {
            "p50": round(percentile[49]),
            "p99": round(percentile[98]),
            "most": round(waits[-1]),
        },
        "seconds": round(seconds),
        "kernel": platform.release(),
        "processor": "emulated by QEMU unless it had KVM; the journal is in memory",
    }
    (Path(os.environ["BLUETOOTH_OUT"]) / "soak.json").write_text(json.dumps(told, indent=2) + "\n")
    print(json.dumps(told))
