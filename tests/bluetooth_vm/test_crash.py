"""Debian 12's kernel and a machine that forgot its bond: the crash is provoked, and what the gateway says.

Run alone (`test.sh`), for no Bluetooth works in this box afterwards; with CRASH=panic the box is set up as
docs/bluetooth.md advises, and restarts instead.
"""

import asyncio
import os
from pathlib import Path

import pytest
from box import KERNEL, Box, box
from peripheral import Machine, blood_pressure

from drivers.catalogue import Gatt
from protocol.errors import LinkError

BONDED = Gatt(("2A35",), default="2A35", services=("1810",), pairing="just_works")
RESULT = blood_pressure(128, 82, 97, 71, (2026, 11, 21, 12, 0, 0))
LOST = "radio.no_service"


async def one_result(here: Box, machine: Machine) -> None:
    link = await here.radio.connect(machine.address, BONDED)
    assert await link.subscribe("2A35")
    await machine.send_blood_pressure(RESULT)
    assert await link.read() == RESULT
    await link.close()


async def said(here: Box, machine: Machine) -> str:
    try:
        await one_result(here, machine)
    except LinkError as fault:
        return fault.code
    return ""


if KERNEL < (6, 12):

    @pytest.mark.timeout(0)
    async def test_a_kernel_that_crashes_is_said_and_at_last_a_restart_is_asked_for():
        if os.environ.get("CRASH") == "panic":
            for name, value in (("panic_on_oops", "1"), ("panic", "-1")):
                await asyncio.to_thread(Path(f"/proc/sys/kernel/{name}").write_text, value)
        async with box() as here:
            machine = await here.awake(secure="encrypted")
            await one_result(here, machine)
            await machine.forget_bonds()
            codes: list[str] = []
            while "radio.reboot" not in codes:
                codes.append(await said(here, machine))
                print(codes[-1], flush=True)
                await asyncio.sleep(1)
            assert LOST in codes, "the Bluetooth service died with the kernel, and that was said first"
            out = Path(os.environ["BLUETOOTH_OUT"]) / "said"
            await asyncio.to_thread(out.write_text, "\n".join(dict.fromkeys(codes)) + "\n")
            os._exit(0)  # what the kernel left behind cannot be closed
