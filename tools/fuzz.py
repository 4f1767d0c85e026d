"""Coverage-guided search for bytes that break a driver's promises: `make fuzz FUZZ="--seconds 60 [DRIVER…]"`.

The promises: no bytes make it raise; frames and noise together are the bytes fed, in order; how the
stream is cut into chunks changes nothing that is understood.
"""

import gc
import random
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType, FunctionType
from typing import Any

import click

from drivers.catalogue import Driver, Refusal, every
from protocol import transcript
from protocol.framing import BySource
from tools.chunks import for_driver
from tools.decode import Decoding, decode_chunks
from tools.parameters import DriverName

TESTS = Path(__file__).resolve().parent.parent / "tests"
TRANSCRIPTS = TESTS / "transcripts"
CORPUS = TESTS / "corpus"
"""One file a driver, one input a line in hex."""
CODE = tuple(str(TESTS.parent / folder) for folder in ("drivers", "protocol"))
MOST_KEPT = 60
LONGEST = 2400
"""Bytes of one input: more than the longest message of any protocol but a photograph."""


Arc = tuple[str, int, int]


class PromiseBroken(AssertionError):
    """Bytes that a driver does not treat as it promises; the text says how and which."""


def check(driver: Driver, data: bytes) -> None:
    """Raise PromiseBroken, or whatever the driver raises, where *data* breaks a promise."""
    cut = list(pieces(data))
    if driver.bluetooth:
        _check_values(driver, [data, *cut])
        return
    for chunks in ([data], cut):
        framer = driver.framer()
        given = [item.data for chunk in chunks for item in framer.feed(chunk)]
        given += [item.data for item in framer.finish()]
        if b"".join(given) != data:
            raise PromiseBroken(f"{driver.name}: bytes lost, added or moved in {data.hex()}")
    if _understood(decode_chunks(driver, [data])) != _understood(decode_chunks(driver, cut)):
        raise PromiseBroken(f"{driver.name}: cutting {data.hex()} changes what is understood")


def _check_values(driver: Driver, values: Sequence[bytes]) -> None:
    """Raise where Bluetooth values, each whole and in any order, break a promise."""
    framers = BySource(driver.framer)
    given = [item.data for value in for_driver(driver, values) for item in framers.feed(value)]
    given += [item.data for item in framers.finish()]
    if b"".join(given) != b"".join(values):
        raise PromiseBroken(
            f"{driver.name}: bytes lost, added or moved in {[value.hex() for value in values]}"
        )
    decode_chunks(driver, for_driver(driver, values))


def pieces(data: bytes) -> Iterator[bytes]:
    """Cut *data* into chunks of 1 to 9 bytes, always the same way for the same bytes."""
    chance = random.Random(zlib.crc32(data))  # noqa: S311 (no secret)
    at = 0
    while at < len(data):
        size = chance.randint(1, 9)
        yield data[at : at + size]
        at += size


def _understood(decoding: Decoding) -> tuple[object, ...]:
    refused = [piece for piece in decoding.noise if isinstance(piece, Refusal)]
    return decoding.frames, decoding.readings, decoding.events, refused, decoding.verdict.accepted


def corpus(name: str) -> list[bytes]:
    """Return the inputs that earlier searches kept for the driver *name*: all the ways they found."""
    kept = CORPUS / f"{name}.txt"
    return [bytes.fromhex(line) for line in kept.read_text().splitlines()] if kept.exists() else []


def seeds(name: str) -> list[bytes]:
    """Return what devices say in the transcripts of the driver *name*, then its corpus."""
    said = corpus(name)
    for path in sorted(TRANSCRIPTS.glob(f"{name}-*.txt")):
        turns = transcript.parse(path.read_text(encoding="utf-8")).turns
        said.append(b"".join(turn.data for turn in turns if isinstance(turn, transcript.Heard)))
    return said


def mutations(name: str, count: int, seed: int) -> Iterator[bytes]:
    """Yield *count* inputs: the seeds with bytes changed, cut out, doubled and joined, and plain rubbish."""
    chance = random.Random(f"{name}/{seed}")  # noqa: S311 (no secret)
    stock = [said for said in seeds(name) if said] or [b"\0"]
    for _ in range(count):
        data = bytearray(chance.choice(stock)[:600])
        for _ in range(chance.randint(0, 4)):
            _mutate(data, chance)
        if chance.random() < 0.2:
            data += chance.choice(stock)[:600]
        yield chance.randbytes(chance.randint(0, 60)) if chance.random() < 0.1 else bytes(data)


def _mutate(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data) + 1)
    end = min(len(data), at + chance.randint(1, 12))
    match chance.randrange(4):
        case 0:
            data[at:end] = chance.randbytes(end - at)
        case 1:
            del data[at:end]
        case 2:
            data[at:at] = data[at:end]
        case _:
            data[at:at] = chance.randbytes(chance.randint(1, 6))


def _decoding_functions() -> list[FunctionType]:
    """Return every function that decoding may run; all of Python's own would take minutes to instrument."""
    functions = [found for found in gc.get_objects() if isinstance(found, FunctionType)]
    return [
        found for found in functions if str(found.__module__).partition(".")[0] in {"protocol", "drivers"}
    ]


def _shown(driver: Driver, data: bytes) -> None:
    try:
        check(driver, data)
    except Exception:
        click.echo(f"fuzz: {driver.name} breaks a promise on {data.hex()}", err=True)
        raise


def _guided(driver: Driver, seconds: int, found: Path) -> None:
    """Fuzz one driver under atheris in this process, leaving its inputs in *found*; ends the process."""
    import atheris

    for function in _decoding_functions():
        atheris.instrument_func(function)
    limits = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-artifact_prefix={found}/broken-"]
    atheris.Setup([sys.argv[0], *limits, str(found)], lambda data: _shown(driver, data))
    atheris.Fuzz()


def _search(driver: Driver, seconds: int, *, keep: bool) -> None:
    """Fuzz one driver in a process of its own; raises ClickException where it broke a promise."""
    command = [sys.executable, "-m", "tools.fuzz", driver.name, "--seconds", str(seconds)]
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder)
        for number, said in enumerate(seeds(driver.name)):
            (found / str(number)).write_bytes(said[:LONGEST])
        if subprocess.run([*command, "--in-process", folder], check=False).returncode:
            raise click.ClickException(f"{driver.name} broke a promise; the bytes are above")
        if keep:
            CORPUS.mkdir(exist_ok=True)
            chosen = worth_keeping(driver, [path.read_bytes() for path in found.iterdir()])
            (CORPUS / f"{driver.name}.txt").write_text("".join(f"{data.hex()}\n" for data in chosen))


def worth_keeping(driver: Driver, inputs: Sequence[bytes]) -> list[bytes]:
    """Return at most MOST_KEPT of *inputs*, the shortest that between them go every way the code was gone."""
    chosen: list[bytes] = []
    gone: set[Arc] = set()
    for data in sorted(set(filter(None, inputs)), key=lambda data: (len(data), data)):
        new = arcs(driver, data) - gone
        if new and len(chosen) < MOST_KEPT:
            chosen.append(data)
            gone |= new
    return chosen


def arcs(driver: Driver, data: bytes) -> set[Arc]:
    """Return the steps from line to line that decoding *data* takes through drivers and protocols."""
    taken: set[Arc] = set()

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(CODE):
            return None
        last = frame.f_lineno

        def step(inner: FrameType, _event: str, _argument: Any) -> Any:
            nonlocal last
            taken.add((name, last, inner.f_lineno))
            last = inner.f_lineno
            return step

        return step if event == "call" else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        decode_chunks(driver, [data])
    finally:
        sys.settrace(before)
    return taken


@click.command()
@click.argument("drivers", nargs=-1, type=DriverName())
@click.option(
    "--seconds", type=click.IntRange(min=1), default=600, show_default=True, help="For each driver."
)
@click.option("--keep", is_flag=True, help="Write what reaches new code into tests/corpus.")
@click.option("--in-process", "found", type=click.Path(path_type=Path), hidden=True)
def fuzz(drivers: Sequence[Driver], *, seconds: int, keep: bool, found: Path | None) -> None:
    """Search for bytes that break a driver's promises; all drivers unless some are named."""
    if found is not None:
        _guided(drivers[0], seconds, found)
    for driver in drivers or every().values():
        click.echo(f"fuzz: {driver.name} for {seconds} s")
        _search(driver, seconds, keep=keep)


if __name__ == "__main__":
    fuzz(prog_name="fuzz")
