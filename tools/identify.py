"""`devices identify PORT`: which driver understands what a machine says by itself. Nothing is ever sent.

Each line setting is listened to for a while, and every driver's framer and decode is fed with what came.
How much a driver's word is worth is measured, not declared: each heard frame is altered byte by byte, and
the share of alterations that the driver would have noticed is near 1 for a check code and less for the mere
shape of a line.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click

from drivers import catalogue
from drivers.catalogue import Driver, Hid, Refusal, Serial
from gateway.links import Link
from gateway.links.opening import open_link
from gateway.links.ports import hids, resolve
from gateway.links.serial import LineSettings
from gateway.stanza import stanza_of, written
from protocol.errors import LinkError, Unavailable
from protocol.readings import Reading
from protocol.transcript import reading_line
from tools import lines
from tools.decode import Decoding, decode_chunks
from tools.forms import printable
from tools.parameters import JSON

SECONDS = 5.0
"""Ours: how long each setting is listened to."""
QUIET_S = 1.0
"""Ours: what is being said when the time is over is heard out until so long a silence, within bounds."""
MOST_BYTES = 65536
"""Heard at one setting at most."""
USUAL = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
"""Tried as 8N1 after the drivers' own settings."""
CHECKED = 0.9
"""Ours: from this share of noticed alterations on, a frame is called checked."""
LEAST = 0.01
"""Ours: a weight below it is chance."""
ALTERED_BYTES = 64
ALTERED_FRAMES = 3
NEAR = 0.8
"""Ours: a driver whose weight is at least this share of the best one's cannot be told from it."""
SHOWN_BYTES = 48

Device = Serial | Hid


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard under one setting; `lined` is false where the port has no line whose setting matters."""

    device: Device
    lined: bool = True
    seconds: float = 0.0
    chunks: tuple[bytes, ...] = ()

    @property
    def data(self) -> bytes:
        """Return all bytes."""
        return b"".join(self.chunks)

    @property
    def setting(self) -> str:
        """Return the setting in words."""
        if isinstance(self.device, Hid):
            return "HID reports"
        return lines.in_words(LineSettings.of(self.device)) if self.lined else "any line setting"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A driver that recognised something, and how much that is worth.

    `noticed` is the share of altered bytes that it would have noticed; `covered` the share of the bytes
    heard that lie in frames it takes.
    """

    driver: Driver
    heard: Heard
    frames: int
    told: int
    refused: int
    noticed: float
    covered: float
    readings: tuple[Reading, ...]

    @property
    def weight(self) -> float:
        """Return what the ranking goes by, from 0 to 1; half where most is refused or tells nothing."""
        return self.noticed * self.covered * (1.0 if self.told > self.refused else 0.5)

    @property
    def at_home(self) -> bool:
        """Say whether it was heard under the driver's own line settings."""
        return not self.heard.lined or self.differing == ""

    @property
    def differing(self) -> str:
        """Return, as keys of a stanza, the line settings heard under that are not the driver's own."""
        own, other = self.driver.link, self.heard.device
        if not self.heard.lined or not isinstance(own, Serial) or not isinstance(other, Serial):
            return ""
        before, after = asdict(LineSettings.of(own)), asdict(LineSettings.of(other))
        return "".join(f"{key} = {written(value)}\n" for key, value in after.items() if value != before[key])

    @property
    def why(self) -> str:
        """Return the reason in one sentence, without any value: it may stand in a configuration."""
        sort = "with a check code" if self.noticed >= CHECKED else "by their shape only"
        parts = [
            f"{self.frames} frame(s) {sort} ({self.noticed:.0%} of altered bytes would have been noticed)",
            f"{self.covered:.0%} of the bytes heard at {self.heard.setting}",
            *([f"{self.refused} refused"] if self.refused else []),
            *(f"{count} {kind}" for kind, count in Counter(one.kind for one in self.readings).items()),
        ]
        return ", ".join(parts)


def weighed(driver: Driver, heard: Heard) -> Candidate | None:
    """Return what *driver* makes of what was heard, None where it recognises nothing."""
    decoding = decode_chunks(driver, heard.chunks)
    frames = [frame.data for frame in decoding.frames]
    if not frames:
        return None
    found = Candidate(
        driver=driver,
        heard=heard,
        frames=len(frames),
        told=len(decoding.readings) + len(decoding.events),
        refused=sum(isinstance(piece, Refusal) for piece in decoding.noise),
        noticed=_noticed(driver, frames),
        covered=sum(map(len, frames)) / max(1, len(heard.data)),
        readings=tuple(decoding.readings),
    )
    return found if found.weight >= LEAST else None


def ranked(drivers: Iterable[Driver], heard: Iterable[Heard]) -> list[Candidate]:
    """Return the drivers that recognise something, the surest first; each once, where it is surest.

    Drivers of which only one source speaks are never proposed.
    """
    best: dict[str, Candidate] = {}
    for one in heard:
        for driver in drivers:
            fits = type(driver.link) is type(one.device)
            found = weighed(driver, one) if fits and one.chunks and not driver.experimental else None
            if found and (driver.name not in best or _order(found) < _order(best[driver.name])):
                best[driver.name] = found
    return sorted(best.values(), key=_order)


def _order(one: Candidate) -> tuple[float, bool, int, str]:
    return (-round(one.weight, 2), not one.at_home, -one.told, one.driver.name)


def sure(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the best and those that cannot be told from it."""
    return [one for one in candidates if one.weight >= NEAR * candidates[0].weight]


def _noticed(driver: Driver, frames: Sequence[bytes]) -> float:
    """Return the share of alterations of one byte that *driver* would have noticed."""
    tried = noticed = 0
    for frame in list(dict.fromkeys(frames))[:ALTERED_FRAMES]:
        told = _tells(decode_chunks(driver, [frame]))
        for place in range(0, len(frame), max(1, len(frame) // ALTERED_BYTES)):
            altered = bytes([*frame[:place], frame[place] ^ 1, *frame[place + 1 :]])
            decoding = decode_chunks(driver, [altered])
            tried += 1
            noticed += not decoding.frames or (told and not _tells(decoding))
    return noticed / max(1, tried)


def _tells(decoding: Decoding) -> bool:
    return bool(decoding.readings or decoding.events)


def settings_to_try(port: str, drivers: Iterable[Driver], baudrates: Sequence[int]) -> list[Heard]:
    """Return the settings to listen under: the drivers' own, the commonest first, then the usual rates.

    A pseudo-terminal or a socket has no line, so one setting stands for all; *baudrates* keep only these.
    """
    target = _target(port)
    path = Path(target).resolve()
    if "://" not in target and re.fullmatch(r"hidraw\d+", path.name):
        return [Heard(Hid(report=64, usb=()))]
    if target.startswith("socket:") or path.is_relative_to("/dev/pts"):
        return [Heard(Serial(), lined=False)]
    links = [replace(one.link, usb=()) for one in drivers if isinstance(one.link, Serial)]
    own = sorted(dict.fromkeys(links), key=lambda line: (-links.count(line), line.baudrate))
    every = dict.fromkeys([*own, *(Serial(rate) for rate in baudrates or USUAL)])
    return [Heard(line) for line in every if not baudrates or line.baudrate in baudrates]


def _target(port: str) -> str:
    """Return what to open for *port*, a serial port or a HID device. Raises Unavailable."""
    try:
        return resolve(port)
    except Unavailable:
        return resolve(port, among=hids)


async def listened(port: str, setting: Heard, seconds: float) -> Heard:
    """Listen to *port* under one setting. Raises LinkError where it cannot be opened or is lost."""
    link = await open_link(port, setting.device)
    loop = asyncio.get_running_loop()
    began, chunks = loop.time(), list[bytes]()
    try:
        while (left := _left(loop.time() - began, seconds, chunks)) > 0:
            chunk = await _next(link, left)
            if chunk is None:
                break
            chunks.append(chunk)
    finally:
        with suppress(LinkError):
            await link.close()
    return replace(setting, seconds=round(loop.time() - began, 1), chunks=tuple(chunks))


def _left(gone: float, seconds: float, chunks: Sequence[bytes]) -> float:
    """Return how long to wait for more: to the end of the time, and on while something is being said."""
    if sum(map(len, chunks)) >= MOST_BYTES or gone >= seconds + 2 * QUIET_S:
        return 0
    if chunks:
        return max(QUIET_S, seconds - gone)
    return max(0.0, seconds - gone)


async def _next(link: Link, seconds: float) -> bytes | None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await link.read()
    return None


async def tried(port: str, settings: Sequence[Heard], seconds: float, *, whole: bool) -> list[Heard]:
    """Listen under each setting, and no further once a driver is certain, unless *whole*."""
    drivers = list(catalogue.every().values())
    found: list[Heard] = []
    for setting in settings:
        click.echo(f"listening to {port} at {setting.setting} for {seconds:g} s", err=True)
        found.append(await listened(port, setting, seconds))
        best = ranked(drivers, found[-1:])[:1]
        if best and best[0].noticed >= CHECKED and best[0].at_home and not whole:
            break
    return found


def stanza(port: str, candidates: Sequence[Candidate]) -> str:
    """Return what to paste: ready where one driver stands out, else commented out with the choice."""
    if not candidates:
        return f"# {port}: no driver recognised anything.\n"
    [best, *others] = sure(candidates)
    ranking = [f"# {number}. {one.driver.name}: {one.why}" for number, one in enumerate(candidates, 1)]
    if best.noticed < CHECKED:
        ranking.append("# No check code proves it: compare the first value with the machine's display.")
    text = stanza_of(best.driver, f"{best.driver.name}-1", port) + best.differing
    if others:
        names = ", ".join(one.driver.name for one in (best, *others))
        ranking.append(f"# What was heard does not tell these apart: {names}. Choose, and take the # away.")
        text = re.sub(r"(?m)^(?=[a-z\[])", "#", text)
    return "\n".join([*ranking, text])


@click.command()
@click.argument("port")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1),
    default=SECONDS,
    show_default=True,
    help="How long each setting is listened to.",
)
@click.option(
    "--baudrate", "baudrates", type=click.IntRange(min=1), multiple=True, help="Only this; may be repeated."
)
@click.option("--all", "whole", is_flag=True, help="Try every setting, even after one that is certain.")
@JSON
@click.pass_context
def identify(
    ctx: click.Context, port: str, *, seconds: float, baudrates: tuple[int, ...], whole: bool, as_json: bool
) -> None:
    """Find out which driver understands the machine on PORT. Only listens: nothing is ever sent.

    Let the machine speak meanwhile: measure, weigh, or let it send its memory. A machine that answers only
    when asked says nothing here; try its driver with `listen PORT --driver NAME --talk`.

    Exit status 0 if one driver stands out, else 1.
    """
    drivers = list(catalogue.every().values())
    heard = asyncio.run(tried(port, settings_to_try(port, drivers, baudrates), seconds, whole=whole))
    candidates = ranked(drivers, heard)
    if as_json:
        click.echo(json.dumps(in_json(port, heard, candidates), ensure_ascii=False, indent=2))
    else:
        for one in heard:
            click.echo(said(one), err=True)
        for reading in candidates[0].readings[:3] if candidates else ():
            click.echo(f"{candidates[0].driver.name} reads: {reading_line(reading)}", err=True)
        click.echo(stanza(port, candidates), nl=False)
    ctx.exit(0 if candidates and len(sure(candidates)) == 1 else 1)


def said(heard: Heard) -> str:
    """Return one line about what was heard under one setting."""
    data = heard.data
    if not data:
        return f"{heard.setting}: nothing in {heard.seconds:g} s"
    first = data[:SHOWN_BYTES]
    more = " …" if len(data) > SHOWN_BYTES else ""
    text = printable(first.splitlines()[0]) if first.splitlines() else ""
    return f"{heard.setting}: {len(data)} bytes: {first.hex(' ')}{more}" + (f"  {text}" if text else "")


def in_json(port: str, heard: Iterable[Heard], candidates: Sequence[Candidate]) -> dict[str, object]:
    """Return everything as `--json` has it."""
    return {
        "schema": 1,
        "port": port,
        "heard": [
            {"setting": one.setting, "seconds": one.seconds, "bytes": len(one.data), "hex": one.data.hex()}
            for one in heard
        ],
        "candidates": [
            {
                "driver": one.driver.name,
                "setting": one.heard.setting,
                "frames": one.frames,
                "told": one.told,
                "refused": one.refused,
                "noticed": round(one.noticed, 3),
                "covered": round(one.covered, 3),
                "why": one.why,
            }
            for one in candidates
        ],
        "stanza": stanza(port, candidates),
    }
