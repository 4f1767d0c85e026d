"""`python -m tools.life`: live clinic-years, say in one line what came of them; status 1 where one broke."""

import json
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, fields
from pathlib import Path
from typing import TextIO

import click

from tools.life.truth import Tally
from tools.life.world import Broken
from tools.life.year import Life, Lived, live

MEMORY = Path("/dev/shm")  # noqa: S108 - what is lived here is no journal of anybody's


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--years", type=click.IntRange(1), default=1, help="Clinic-years to live, a seed each.")
@click.option("--seed", type=int, default=1, help="The first year's seed.")
@click.option("--days", type=click.IntRange(1), default=Life().clinic_days, help="Clinic days a year.")
@click.option("--exams", type=click.IntRange(1), default=Life().exams, help="Exams a clinic day, about.")
@click.option("--trace", type=click.File("w"), help="Write every happening there, a line each.")
@click.option("--quiet", is_flag=True, help="Nothing but the last line.")
def main(years: int, seed: int, *, days: int, exams: int, trace: TextIO | None, quiet: bool) -> None:
    """Live clinic-years with crashes, power cuts, outages, lost answers and clock steps."""
    began, total, life = time.perf_counter(), Tally(), Life(days, exams)
    broken: list[dict[str, object]] = []
    last: Lived | None = None
    for number in range(seed, seed + years):
        try:
            last = _lived(number, life, trace)
        except Broken as failed:
            broken.append({"seed": number, "broken": str(failed)})
            continue
        for one in fields(Tally):
            setattr(total, one.name, getattr(total, one.name) + getattr(last.tally, one.name))
        if not quiet:
            click.echo(f"seed {number}: {last.tally.exams} exams, {last.tally.crashes} crashes", err=True)
    seconds = time.perf_counter() - began
    said = {"years": years, "seed": seed, "broken": broken, **asdict(total), "seconds": round(seconds, 1)}
    if last is not None:
        said |= {"trace": last.trace, "head": last.head}
    click.echo(json.dumps(said, ensure_ascii=False))
    sys.exit(1 if broken else 0)


def _lived(seed: int, life: Life, trace: TextIO | None) -> Lived:
    folder = Path(tempfile.mkdtemp(prefix="life-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        return live(seed, folder, life, trace)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
