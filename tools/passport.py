"""What a machine's days say, its passport, and how a technician writes into it: part of `devices`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gateway import messages
from gateway.config import load
from gateway.wear import period
from store.history import Day
from tools import running
from tools.parameters import CONFIG, JSON

DAYS = 14


def history_of(base: str, name: str) -> dict[str, Any]:
    """Return a device's history from the running service; raises DeliveryError without one."""
    found: dict[str, Any] = running.ask(base, f"/v1/devices/{name}/history")
    return found


def in_words(history: Mapping[str, Any], language: str) -> list[str]:
    """Return the lines a technician reads: what the days say, the passport, the last days one by one."""
    lines = [
        f"{sign['weight']:<6} {messages.text(sign['code'], language, evidence=sign['evidence'])}"
        for sign in history["signs"]
    ]
    lines += [f"passport {key:<16} {value}" for key, value in history["passport"].items()]
    return lines + [_day(day) for day in history["days"][:DAYS]]


def _day(told: Mapping[str, Any]) -> str:
    day = Day(**told)
    sums = period([day])
    parts = [
        f"{day.contacts} contacts",
        f"{day.orders} ordered",
        f"{day.results} results" + (f" in {sums.median_s} s" if sums.median_s is not None else ""),
        *(f"{count} failed: {cause}" for cause, count in day.failed.items()),
        *(f"{count} x {code}" for code, count in day.faults.items()),
        *(
            [f"clock {day.offset_s:+.0f} s{' (ours not synchronised)' * day.offset_unsure}"]
            if day.offset_s is not None
            else []
        ),
        *([f"clock set or lost {day.jumps} x"] if day.jumps else []),
        *([f"battery {day.battery}"] if day.battery else []),
        *([f"firmware {day.firmware}"] if day.firmware else []),
    ]
    return f"{day.day}  {', '.join(parts)}"


@click.command()
@click.argument("name")
@click.option("--operator", required=True, help="Who writes.")
@click.option("--maker")
@click.option("--model")
@click.option("--serial")
@click.option("--made-on", metavar="YYYY-MM-DD")
@click.option("--calibrated-on", metavar="YYYY-MM-DD")
@click.option("--calibration-due", metavar="YYYY-MM-DD")
@click.option("--paired-by")
@click.option("--paired-on", metavar="YYYY-MM-DD")
@CONFIG
@JSON
def passport(name: str, *, operator: str, path: Path | None, as_json: bool, **fields: str | None) -> None:
    """Write into the passport of the device NAME; what is not named stays as it was."""
    config = load(path)
    written = {key: value for key, value in fields.items() if value is not None}
    base = running.address(config.http)
    told = running.tell(base, f"/v1/devices/{name}/passport", {**written, "operator": operator})
    if as_json:
        click.echo(json.dumps({"schema": 1, **told}, ensure_ascii=False, indent=2))
        return
    click.echo("\n".join(in_words({**told, "days": []}, config.language)))
