"""Be a device on a pseudo-terminal, in a process of its own, as the gateway will meet it."""

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from random import Random

import click

from drivers.catalogue import Advertisement, Driver, Gatt
from gateway.links.replay import driver_settings
from protocol import transcript
from tools import peripherals, simulators
from tools.forms import Json
from tools.parameters import DriverName
from tools.player import MachineClock, Player
from tools.simulators import (
    Act,
    Attached,
    Await,
    Cue,
    Device,
    Heard,
    Pause,
    Say,
    Setup,
    Simulator,
    Values,
    Violation,
)
from tools.terminal import Terminal


def recited(turns: Sequence[transcript.Turn]) -> Device:
    """Return a device that says its side of *turns* from the beginning each time a host comes."""
    cue = yield Await()
    while True:
        cue = (yield from _once(turns)) if isinstance(cue, Attached) else (yield Await())


def _once(turns: Sequence[transcript.Turn]) -> Generator[Act, Cue | None, Cue | None]:
    heard = b""
    for turn in turns:
        match turn:
            case transcript.Heard(data):
                yield Say(data)
            case transcript.Silence(seconds):
                yield Pause(seconds)
            case transcript.Sent(data):
                while len(heard) < len(data):
                    cue = yield Await()
                    if isinstance(cue, Attached):
                        return cue
                    heard += cue.data if isinstance(cue, Heard) else b""
                if not heard.startswith(data):
                    yield Violation(f"expected {data.hex(' ')}, heard {heard[: len(data)].hex(' ')}")
                heard = heard[len(data) :]
            case _:
                pass
    return None


def _machine(driver: Driver) -> Simulator:
    if driver.name not in simulators.names():
        raise click.UsageError(f"{driver.name} has no simulated machine; --transcript serves a recording")
    return simulators.simulator(driver.name)


def _played(
    driver: Driver, recording: Path | None, pairs: Sequence[str], clock: MachineClock, chance: Random
) -> tuple[Device, Callable[[Random], Values] | None]:
    """Return the device, and who stands before it; before a recording nobody."""
    if recording is not None:
        return recited(transcript.parse(recording.read_text(encoding="utf-8")).turns), None
    machine = _machine(driver)
    return machine.device(Setup(_options(machine, pairs), clock, chance)), machine.person


def _on_the_air(
    driver: Driver, recording: Path | None, *, interval: float | None, seed: int, clock_offset: float
) -> None:
    """Be a Bluetooth machine; with *recording* play that, once."""
    if recording is None and driver.name not in peripherals.names():
        raise click.UsageError(f"{driver.name} has no simulated machine; --transcript serves a recording")
    if why := peripherals.why_not():
        raise click.UsageError(f"no Bluetooth machine can be here: {why}")
    if recording is not None:
        _recited_on_the_air(driver, recording)
        return
    from tools.air_player import played

    asyncio.run(played(driver.name, _tell, interval=interval, seed=seed, clock_offset=clock_offset))


def _recited_on_the_air(driver: Driver, recording: Path) -> None:
    from tools.recital import recited

    stated = transcript.parse(recording.read_text(encoding="utf-8"))
    link = driver.under(driver_settings(driver, stated.settings)).link
    assert isinstance(link, Gatt | Advertisement)
    told = recited(link, stated, lambda port: _tell({"port": port}), lambda order: _tell({"order": order}))
    for violation in asyncio.run(told):
        _tell({"violation": violation})


def _options(machine: Simulator, pairs: Sequence[str]) -> dict[str, str]:
    """Return every option of *machine* with its choice; a usage error for one that it has not."""
    chosen = {option: choices[0] for option, choices in machine.options.items()}
    for pair in pairs:
        option, _, choice = pair.partition("=")
        if choice not in machine.options.get(option, ()):
            known = "; ".join(f"{name}={'|'.join(choices)}" for name, choices in machine.options.items())
            raise click.UsageError(f"no option {pair}; this machine has {known or 'none'}")
        chosen[option] = choice
    return chosen


def _tell(told: Json) -> None:
    click.echo(json.dumps(told))
    sys.stdout.flush()


@click.command(
    epilog="""Orders are JSON objects, one a line: {"measure": {"systolic": "128", ...}} finds these values
    (other keys are the machine's other fields), {"fail": "cuff_loose"}, {"stored": [{"glucose": "5.6",
    "at": "2026-01-31T08:00:00"}]}, {"noise": "ff00"}, {"wrong_baud": true}, {"silence": true},
    {"unplug": true}, {"replug": true}, {"half": true} (half of the next result, then unplugged),
    {"corrupt": true} (one bit of the next result turned over), {"clock": 3600} (the machine's clock is so
    many seconds ahead), {"wait": 2.5} (seconds before the next order).
    Answers: pty, host (opened or left the port), shown, failed, unsent (no host could hear it), violation
    (what no gateway may do), refused. A Bluetooth machine tells port, and passkey where it shows one, in
    place of pty and host; unplugged it is out of range; half breaks the link before the next result."""
)
@click.argument("driver", type=DriverName())
@click.option("--transcript", "recording", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--pty", "link", type=click.Path(path_type=Path), help="Keep this link pointing at the port.")
@click.option("--script", is_flag=True, help="Take orders on standard input; end when it ends.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=10.0,
    show_default=True,
    help="Seconds between people.",
)
@click.option("--seed", type=int, default=0, help="Other people for another number.")
@click.option("--clock-offset", type=float, default=0.0, help="How wrong the machine's clock is, in seconds.")
@click.option("--pace", type=click.IntRange(min=1), help="Send no faster than this many baud.")
@click.option("--set", "pairs", metavar="NAME=CHOICE", multiple=True, help="An option of this machine.")
def simulate(
    *,
    driver: Driver,
    recording: Path | None,
    link: Path | None,
    script: bool,
    interval: float,
    seed: int,
    clock_offset: float,
    pace: int | None,
    pairs: tuple[str, ...],
) -> None:
    """Be a device, on a pseudo-terminal; a Bluetooth one on an emulated air that this box's Linux hears.

    That needs root, /dev/vhci and bluetoothd, and shows one machine at a time; machines without a simulation
    play a recording, once, to whoever connects.
    """
    every = None if script else interval
    if driver.bluetooth:
        if link or pace or pairs:
            raise click.UsageError("--pty, --pace and --set are for a machine with a cable")
        _on_the_air(driver, recording, interval=every, seed=seed, clock_offset=clock_offset)
        return
    chance, clock = Random(seed), MachineClock(clock_offset)  # noqa: S311 (plausible people, no secret)
    device, person = _played(driver, recording, pairs, clock, chance)
    terminal = Terminal(link)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    player = Player(
        device,
        terminal,
        _tell,
        person=person,
        chance=chance,
        clock=clock,
        orders=sys.stdin.fileno() if script else None,
        interval=every,
        pace=pace,
    )
    try:
        player.plug()
        player.play()
    finally:
        terminal.unplug()
