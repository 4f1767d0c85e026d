"""`checkup-gateway demo`: the whole job on one machine with nothing but this repository."""

import asyncio
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

OUTBOX_S = 120.0


@click.command()
@click.option("--once", is_flag=True, help="End after the exams; exit 0 only if everything agrees.")
@click.option("--exams", default=5, show_default=True, type=click.IntRange(1, 1000), help="How many exams.")
@click.option(
    "--port", default=8480, show_default=True, type=click.IntRange(0, 65535), help="The page's port."
)
@click.option("--seed", default=1, show_default=True, help="Which values the machines show.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def demo(once: bool, exams: int, port: int, seed: int, as_json: bool) -> None:
    """Show the whole job: simulated machines, the gateway, a real FHIR server, the clinic page.

    Every machine is its own process speaking its real protocol on a pseudo-terminal; the gateway runs
    exactly as `run` starts it. Without --once it stays until Ctrl+C, and goes on examining people.
    """
    with tempfile.TemporaryDirectory(prefix="checkup-demo-") as home:
        try:
            result = asyncio.run(_demo(Path(home), once, exams, 0 if once and port == 8480 else port, seed))
        except asyncio.CancelledError:
            sys.exit(130)
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False))
    elif once:
        click.echo(_in_words(result))
    sys.exit(0 if result["ok"] else 1)


def say(text: str) -> None:
    """Tell the person at the terminal; results go to stdout, this does not."""
    click.echo(text, err=True)


async def _demo(home: Path, once: bool, exams: int, port: int, seed: int) -> dict[str, Any]:
    from tools.people import Vitals
    from tools.stage import Stage

    began = time.monotonic()
    _end_on_signals()
    async with Stage(home, port=port or None, seed=seed) as stage:
        await raise_curtain(stage, say)
        vitals = Vitals(seed)
        visits = await examine(stage, vitals, exams, say)
        result = await compare(stage, visits)
        result["seconds"] = round(time.monotonic() - began, 1)
        say(_in_words(result))
        if once:
            return result
        say(f"\nThe page: {stage.url}   The central record (FHIR): {stage.fhir.base_url}   Ctrl+C ends.")
        try:
            await _go_on(stage, vitals, exams)
        except asyncio.CancelledError:
            say("ending")
        return result


def _end_on_signals() -> None:
    """Let Ctrl+C and a stop end the demonstration as a whole: every part of it is ours to end."""
    playing = asyncio.current_task()
    assert playing is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, playing.cancel)


async def raise_curtain(stage: Any, tell: Callable[[str], None]) -> None:
    """Start the machines, the FHIR server and the gateway."""
    tell(f"starting {len(stage.machines)} simulated machines: {', '.join(stage.machines)}")
    await stage.start_machines()
    if why := await stage.add_bluetooth():
        tell(f"no Bluetooth machine is shown: {why}")
    else:
        tell("and sig_blood_pressure over Bluetooth: by this box's own bluetoothd, from an emulated adapter")
    tell("starting the FHIR server (about 20 s the first time)")
    starting = asyncio.create_task(stage.start_fhir())
    await stage.start_gateway()
    tell(f"the gateway runs: {stage.url}")
    await starting
    tell(f"the FHIR server runs: {stage.fhir.base_url}")


async def examine(stage: Any, vitals: Any, exams: int, tell: Callable[[str], None]) -> list[Any]:
    """Play the exams one after another."""
    from tools.visit import visit

    visits = []
    for number in range(exams):
        visits.append(await visit(stage, number, vitals))
        shown = "  ".join(f"{s.device}: {' '.join(s.values.values())}" for s in visits[-1].shown)
        tell(f"exam {number + 1}/{exams}  {shown}")
    return visits


async def compare(stage: Any, visits: list[Any]) -> dict[str, Any]:
    """Wait until the outbox is empty and compare every value in all five places."""
    from tools.agreement import agreement

    await stage.until(lambda: delivered(stage), "the outbox did not empty", OUTBOX_S)
    found = await agreement(stage, visits)
    return {
        "schema": 1,
        "ok": not found.faults,
        "machines": list(stage.machines),
        "exams": len(visits),
        "measurements": sum(len(visit.shown) for visit in visits),
        "values": sum(len(shown.values) for visit in visits for shown in visit.shown),
        "comparisons": found.values,
        "faults": found.faults,
        "places": ["machine", "journal", "page", "pull", "fhir"],
    }


async def delivered(stage: Any) -> bool:
    """Return whether nothing waits to be forwarded."""
    outbox = await stage.get("/v1/outbox")
    return all(row["waiting"] == 0 for row in outbox["forwarders"].values())


async def _go_on(stage: Any, vitals: Any, done: int) -> None:
    """Go on examining people, slowly, so that the page can be watched."""
    from tools.visit import visit

    number = done
    while True:
        await asyncio.sleep(8)
        await visit(stage, number, vitals)
        number += 1


def _in_words(result: dict[str, Any]) -> str:
    if not result["ok"]:
        return "NOT EQUAL:\n" + "\n".join(f"  {fault}" for fault in result["faults"])
    return (
        f"{result['exams']} exams, {result['measurements']} measurements, {result['values']} values: "
        f"equal at machine, journal, page, pull API and FHIR server ({result['comparisons']} comparisons)"
    )
