"""The real service, as a process, on a box without a real-time clock: 1970, then NTP, a step back, a kill -9.

Needs a C compiler (Debian: gcc, libc6-dev) for a wall clock of its own, `wall.c`; not in `make test`.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from tools.agreement import observations
from tools.demo import delivered
from tools.people import Vitals, person
from tools.stage import OPERATOR, Stage
from tools.visit import measurements

SOURCE = Path(__file__).with_name("wall.c")
EXACT = timedelta(seconds=1)
Row = Mapping[str, Any]


class Wall:
    """The service's wall clock: some seconds ahead of the true one, kept by somebody or not."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            raise click.ClickException("no C compiler here: apt install gcc libc6-dev")
        library = folder / "wall.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, SOURCE], check=True)
        self._file = folder / "wall"
        self.set(0, kept=False)
        self._environ = {"LD_PRELOAD": str(library), "FAKE_WALL": str(self._file)}

    def set(self, ahead_s: int, *, kept: bool) -> None:
        """Let it step."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{ahead_s} {int(kept)}\n")
        fresh.replace(self._file)

    async def start(self, stage: Stage) -> None:
        """Start the gateway of *stage* under this clock."""
        os.environ.update(self._environ)
        try:
            await stage.start_gateway()
        finally:
            for name in self._environ:
                del os.environ[name]


async def weighed(stage: Stage, exam: str, weight: Mapping[str, str]) -> tuple[Row, datetime, datetime]:
    """Return what came of one weighing, and the true time before and after it."""
    known = {row["id"] for row in await measurements(stage, exam)}
    began = datetime.now(UTC)
    await stage.machines["scale_st_gs"].measure(weight)

    async def arrived() -> list[Row]:
        return [row for row in await measurements(stage, exam) if row["id"] not in known]

    [row] = await stage.until(arrived, "no measurement came of the scale")
    return row, began, datetime.now(UTC)


def must(holds: object, what: str, row: Row) -> None:
    """End with words where *what* does not hold."""
    if not holds:
        raise click.ClickException(f"{what}: {json.dumps(row, ensure_ascii=False)}")


def within(row: Row, began: datetime, ended: datetime) -> bool:
    """Return whether the row's effective time is the true one."""
    when = row["effective"]["time"]
    return when is not None and began - EXACT <= datetime.fromisoformat(when) <= ended + EXACT


async def play(folder: Path) -> Mapping[str, object]:
    """Live the morning of a box without a real-time clock; return what was seen."""
    wall, vitals = Wall(folder), Vitals(5)
    async with Stage(folder / "stage") as stage:
        await asyncio.gather(stage.start_machines(), stage.start_fhir())
        wall.set(100 - round(time.time()), kept=False)
        await wall.start(stage)
        exam = await _exam(stage)
        rows = await _until_time_came(stage, exam, wall, vitals)
        rows += await _stepped_back(stage, exam, wall, vitals)
        await stage.until(lambda: delivered(stage), "the outbox did not empty", 120)
        remote = await observations(stage.fhir.base_url)
        await stage.stop_gateway()
        await _must_be_sound(stage)
    return {
        "measurements": len(rows),
        "at_the_centre": len(remote),
        "rules": [row["effective"]["rule"] for row in rows],
        "wrong_times": 0,
    }


async def _until_time_came(stage: Stage, exam: str, wall: Wall, vitals: Vitals) -> list[Row]:
    """Weigh in 1970, let the time come and weigh again; the first must be put right."""
    first, *when = await weighed(stage, exam, vitals.weight())
    must(first["received"]["utc"] < "1971", "the service does not live in 1970", first)
    must(first["status"] == "preliminary", "a time nobody knows was called final", first)
    must(first["effective"]["time"] is None, "a time nobody knows was given", first)

    wall.set(0, kept=True)
    second, *then = await weighed(stage, exam, vitals.weight())
    must(within(second, *then), "not the true time", second)

    async def retimed() -> Row | None:
        rows = {row["id"]: row for row in await measurements(stage, exam)}
        return rows[first["id"]] if rows[first["id"]]["status"] == "final" else None

    put_right = await stage.until(retimed, "the first measurement was not put right")
    must(within(put_right, *when), "put right, but not to the true time", put_right)
    return [put_right, second]


async def _stepped_back(stage: Stage, exam: str, wall: Wall, vitals: Vitals) -> list[Row]:
    """Weigh after a step back, and after a kill; neither may mislead."""
    wall.set(-3600, kept=False)
    third, *after = await weighed(stage, exam, vitals.weight())
    must(within(third, *after), "a step back misled it", third)
    await stage.kill_gateway()
    await asyncio.gather(*(machine.replug() for machine in stage.machines.values()))
    await wall.start(stage)
    fourth, *last = await weighed(stage, exam, vitals.weight())
    must(within(fourth, *last), "a step back and a kill misled it", fourth)
    return [third, fourth]


async def _exam(stage: Stage) -> str:
    who = {"identifiers": [{"system": "cn-id", "value": person(0).cn_id}], "name": person(0).name}
    return str((await stage.post("/v1/exams", {"resident": who, "operator": OPERATOR}))["id"])


async def _must_be_sound(stage: Stage) -> None:
    config = str(stage.write_config())
    verify = [sys.executable, "-m", "tools.main", "journal", "verify", "--config", config]
    sound = await asyncio.to_thread(subprocess.run, verify, capture_output=True, check=False)
    must(sound.returncode == 0, f"journal verify: {sound.stdout!r}", {})


@click.command()
def main() -> None:
    """Let the real service live through 1970, NTP, a step back and a kill -9; say what was seen."""
    with tempfile.TemporaryDirectory() as name:
        click.echo(json.dumps(asyncio.run(play(Path(name)))))


if __name__ == "__main__":
    main()
