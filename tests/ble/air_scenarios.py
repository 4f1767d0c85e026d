"""What machines do to a gateway, told once: played on an emulated air and in the virtual box."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from peripheral import Machine, glucose
from room import here_and_now, result, room, until

from gateway.links.ble_radio import Radio

PATIENCE_S = 600.0
"""For an emulated processor; nothing here is judged by the clock."""
FLAGS = (0x00, 0x02, 0x1F, 0x80, 0xFF)
"""Of a blood pressure: plain, with a time, with everything, reserved ones."""
PASSKEY = 135790
NAME = "cuff\n[[d]]\x1b[2J\u202e"
"""Would begin a table in a configuration, wipe a terminal, turn the writing; an advertisement holds it."""


async def two_hundred_records(radio: Radio, meter: Machine, folder: Path) -> None:
    """A meter's memory comes once and whole although its link breaks; then only what is new is sent."""
    taken = (2026, 11, 1, 8)
    for number in range(1, 201):
        meter.records[number] = glucose(number, 40 + number % 60, (*taken, *divmod(number, 60)))
    breaks = iter((90, 190))
    breaking = [next(breaks)]

    async def cut(number: int) -> None:
        if meter.asked[-1] == b"\x01\x01" and number in breaking:
            breaking[:] = [next(breaks, 0)]
            meter.controller.lose_link()
            await asyncio.sleep(3600)  # ended by the loss

    meter.before_record = cut
    async with room(folder, radio, meter, "sig_glucose") as here:
        await meter.start()
        await until(lambda: len(here.measured()) == 200, PATIENCE_S)
        assert breaking == [0], "the link broke twice"
        assert [one.sequence for one in here.measured()] == [*range(1, 201)], "the oldest first"
        await meter.sleep()
        for number in range(201, 206):
            meter.records[number] = glucose(number, 60, (*taken, *divmod(number, 60)))
        before = meter.sent
        await meter.advertise()
        await until(lambda: len(here.measured()) >= 205, PATIENCE_S)
        assert [one.sequence for one in here.measured()] == [*range(1, 206)]
        assert meter.sent - before <= 20, "only the newest were asked for"
        assert {(one.exam, one.stored) for one in here.measured()} == {(None, True)}


async def rubbish(radio: Radio, cuff: Machine, folder: Path) -> None:
    """Oversized values and flags that promise what is not there give nothing; a result among them counts."""
    async with room(folder, radio, cuff) as here:
        short = [bytes([flags]) + bytes(5) for flags in FLAGS]
        results = [result(here_and_now(), 120 + number) for number in range(2)]
        await here.wakes_and_tells(bytes([0x1F] * 500), results[0], *short, results[1])
        await until(lambda: len(here.measured()) == 2, PATIENCE_S)
        values = [one.values["systolic"].value for one in here.measured()]
        assert values == ["120", "121"]


@contextlib.asynccontextmanager
async def flooding(meter: Machine) -> AsyncIterator[None]:
    """Let *meter* tell rubbish without end to everybody who listens."""

    async def flood() -> None:
        while True:
            await meter.device.notify_subscribers(meter.glucose_measurement, b"\x02" + bytes(5))
            await asyncio.sleep(0.02)

    running = asyncio.ensure_future(flood())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def a_flood_beside(radio: Radio, meter: Machine, cuff: Machine, folder: Path) -> None:
    """A machine that never stops talking hides no other."""
    for name in ("meter", "cuff"):
        (folder / name).mkdir()
    async with (
        room(folder / "meter", radio, meter, "sig_glucose") as loud,
        room(folder / "cuff", radio, cuff) as here,
        flooding(meter),
    ):
        await meter.start()
        await until(lambda: loud.station.state.code == "device.malformed", PATIENCE_S)
        await here.wakes_and_tells(result(here_and_now()))
        await until(lambda: len(here.measured()) == 1, PATIENCE_S)
        assert loud.measured() == []
