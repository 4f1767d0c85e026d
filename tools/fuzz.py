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
from types import FunctionType

import click

from drivers.catalogue import Driver, Refusal, every
from protocol import transcript
from tools.decode import Decoding, decode_chunks
from tools.parameters import DriverName

TRANSCRIPTS = Path(__file__).resolve().parent.parent / "tests" / "transcripts"


class PromiseBroken(AssertionError):
    """Bytes that a driver does not treat as it promises; the text says how and which."""


def check(driver: Driver, data: bytes) -> None:
    """Raise PromiseBroken, or whatever the driver raises, where *data* breaks a promise."""
    cut = list(pieces(data))
    for chunks in ([data], cut):
        framer = driver.framer()
        given = [item.data for chunk in chunks for item in framer.feed(chunk)]
        given += [item.data for item in framer.finish()]
        if b"".join(given) != data:
            raise PromiseBroken(f"{driver.name}: bytes lost, added or moved in {data.hex()}")
    if _understood(decode_chunks(driver, [data])) != _understood(decode_chunks(driver, cut)):
        raise PromiseBroken(f"{driver.name}: cutting {data.hex()} changes what is understood")


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


def seeds(name: str) -> list[bytes]:
    """Return what devices say in the transcripts of the driver *name*, one entry a transcript."""
    said = []
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


def _guided(driver: Driver, seconds: int) -> None:
    """Fuzz one driver under atheris in this process; ends the process."""
    import atheris

    with tempfile.TemporaryDirectory() as corpus:
        for number, said in enumerate(seeds(driver.name)):
            (Path(corpus) / str(number)).write_bytes(said)
        for function in _decoding_functions():
            atheris.instrument_func(function)
        limits = [f"-max_total_time={seconds}", "-max_len=600", f"-artifact_prefix={corpus}/found-"]
        atheris.Setup([sys.argv[0], *limits, corpus], lambda data: _shown(driver, data))
        atheris.Fuzz()


@click.command()
@click.argument("drivers", nargs=-1, type=DriverName())
@click.option("--seconds", type=click.IntRange(min=1), default=60, show_default=True, help="For each driver.")
@click.option("--in-process", is_flag=True, hidden=True)
def fuzz(drivers: Sequence[Driver], seconds: int, in_process: bool) -> None:
    """Search for bytes that break a driver's promises; all drivers unless some are named."""
    if in_process:
        _guided(drivers[0], seconds)
    for driver in drivers or every().values():
        click.echo(f"fuzz: {driver.name} for {seconds} s")
        command = [sys.executable, "-m", "tools.fuzz", "--in-process", "--seconds", str(seconds), driver.name]
        if subprocess.run(command, check=False).returncode:
            raise click.ClickException(f"{driver.name} broke a promise; the bytes are above")


if __name__ == "__main__":
    fuzz(prog_name="fuzz")
