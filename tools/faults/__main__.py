"""`python -m tools.faults`: power cuts, planted faults, calls killed or failing; one JSON line last."""

import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import click

from tools.faults.jobs import Done, Job, long, short, worked

LOST = ("lost", "changed")
TWICE = ("twice at the centre", "invented or twice")


def summary(all_done: Sequence[Done], seconds: float) -> dict[str, Any]:
    """Return the last line's object."""
    numbers = sum((one.numbers for one in all_done), Counter[str]())
    counted = (
        "crash_states",
        "distinct",
        "started",
        "live_cuts",
        "came_up",
        "planted",
        "caught",
        "kills",
        "failures",
        "syncs_failed",
    )
    return {
        "schema": 1,
        "ok": not any(one.wrong for one in all_done),
        **{name: numbers.pop(name, 0) for name in counted},
        "lost": sum(numbers.pop(name, 0) for name in LOST),
        "not_opened": numbers.pop("does not open", 0),
        "twice": sum(numbers.pop(name, 0) for name in TWICE),
        "found": sorted(name for name in numbers if " found as " in name),
        "answers": {name: numbers[name] for name in numbers if name.startswith("answered ")},
        "other": {
            name: numbers[name]
            for name in numbers
            if not name.startswith("answered ") and " found as " not in name
        },
        "wrong": [words for one in all_done for words in one.wrong],
        "seconds": round(seconds, 1),
    }


def _wanted(job: Job, only: tuple[str, ...], cuts: int | None) -> bool:
    if cuts and job.kind == "cuts":
        return False
    return {job.kind, job.name} & set(only) != set() if only else not cuts


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--long", "at_length", is_flag=True, help="A million states and ten thousand cuts: hours.")
@click.option("--only", multiple=True, help="Only jobs whose kind or name this is; may be given again.")
@click.option("--cuts", type=click.IntRange(min=1), help="Only so many live cuts, beside what --only names.")
def main(at_length: bool, only: tuple[str, ...], cuts: int | None) -> None:
    """Cut the power of the real service wherever it can go, and see that every promise still holds."""
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    jobs = [job for job in (long() if at_length else short()) if _wanted(job, only, cuts)]
    jobs += [Job("cuts", amount=cuts)] if cuts else []
    all_done = []
    for done in worked(jobs):
        all_done.append(done)
        figures = " ".join(f"{name}={number}" for name, number in done.numbers.items())
        told = f"{done.job.kind} {done.job.name}: {figures} {done.seconds} s {'; '.join(done.wrong)}"
        click.echo(told, err=True)
    found = summary(all_done, time.monotonic() - began)
    click.echo(json.dumps(found, ensure_ascii=False))
    sys.exit(0 if found["ok"] else 1)


if __name__ == "__main__":
    main()
