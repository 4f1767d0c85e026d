"""An all-in-one machine as a process: three modules, one person, and each module's own driver on its port."""

import asyncio
import json
import subprocess
import tomllib
from pathlib import Path

from drivers import catalogue
from gateway.conductor import conduct
from gateway.links.opening import open_link
from tests.tools.test_simulate_command import COMMAND, DEADLINE_S, Heard
from tools.all_in_one import AllInOne

PERSON = {
    "systolic": "128",
    "diastolic": "82",
    "pulse_rate": "66",
    "glucose": "5.6",
    "body_height": "158.5",
    "body_weight": "60.54",
}
MODULES = ("omron_hbp", "sinocare_sn", "gtech_gl")


async def test_one_person_is_measured_by_every_module_at_once(tmp_path: Path) -> None:
    drivers = [catalogue.every()[name] for name in MODULES]
    async with AllInOne(tmp_path, drivers) as machine:
        heard = {driver.name: Heard(1) for driver in drivers}
        talks = [asyncio.create_task(_converse(machine, name, heard[name])) for name in MODULES]
        shown: asyncio.Queue[dict[str, object]] = asyncio.Queue()
        watching = asyncio.create_task(machine.watch(shown.put_nowait))
        for _ in MODULES:
            assert "host" in await asyncio.wait_for(shown.get(), DEADLINE_S)
        machine.follow({"measure": PERSON})
        for kept in heard.values():
            await asyncio.wait_for(kept.complete.wait(), DEADLINE_S)
        for task in (*talks, watching):
            task.cancel()
        await asyncio.wait({*talks, watching})
    assert heard["omron_hbp"].lines[0].startswith("blood_pressure systolic 128 mm[Hg]")
    assert heard["sinocare_sn"].lines[0].startswith("glucose glucose 5.6 mmol/L")
    assert heard["gtech_gl"].lines[0].startswith("body_size body_height 158.5 cm, body_weight 60.54 kg")


async def _converse(machine: AllInOne, name: str, heard: Heard) -> None:
    driver = catalogue.every()[name]
    link = await open_link(str(machine.modules[name].link), driver.link, None)
    try:
        await conduct(driver, driver.settings, link, heard, asyncio.Queue())
    finally:
        await link.close()


def test_the_command_follows_orders_for_all_or_one_and_refuses_others(tmp_path: Path) -> None:
    orders = [
        {"module": "gtech_gl", "measure": {"body_height": "158.5", "body_weight": "60.54"}},
        {"module": "unknown", "measure": PERSON},
        {"measure": {"spo2": "97"}},
        [],
    ]
    done = subprocess.run(
        [
            COMMAND,
            "all-in-one",
            "--folder",
            tmp_path,
            *(word for one in MODULES for word in ("--module", one)),
        ],
        input="".join(json.dumps(one) + "\n" for one in orders).encode(),
        capture_output=True,
        timeout=DEADLINE_S,
        check=True,
    )
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["module"] for one in said if "pty" in one] == list(MODULES)
    assert sum("refused" in one for one in said) == 3
    [unsent] = [one for one in said if "unsent" in one]
    assert unsent["module"] == "gtech_gl"


def test_its_stanzas_are_a_configuration(tmp_path: Path) -> None:
    done = subprocess.run(
        [COMMAND, "all-in-one", "--folder", tmp_path, "--config"],
        capture_output=True,
        check=True,
        timeout=DEADLINE_S,
    )
    devices = tomllib.loads(done.stdout.decode())["devices"]
    assert [one["driver"] for one in devices] == list(MODULES)
    assert all(one["port"].startswith(str(tmp_path)) for one in devices)
