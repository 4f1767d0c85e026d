"""Frames a second through framing with its check and its way back after noise, and through the decoders.

The bounds beside it: `struct` that unpacks without looking, and a loop that finds the start and trusts it.
"""

import random
import struct
from collections.abc import Iterator
from pathlib import Path

from drivers import catalogue
from drivers.catalogue import Driver
from protocol.framing import Frame
from tools.bench.figures import Line, Scale, Target, alternated, median, seconds_of
from tools.bench.stock import omron_line
from tools.simulators.pm6750 import packet

CHUNK = 512
NOISE = 8
"""Bytes of rubbish before each frame of the noisy stream, close to a frame's own length."""
START = b"\x55\xaa"
PRESSURE = struct.Struct(">2s8B")
FULL_LINE = 115200 / 10 / PRESSURE.size
"""Frames a second on a full line."""
ROUNDS = 5
RUBBISH = 1_000_000


def measure(scale: Scale, _folder: Path) -> Iterator[Line]:
    """Measure framing, decoding, and what a megabyte of garbage costs."""
    count = scale.of(20_000, 50)
    clean, noisy = _stream(count, 0), _stream(count, NOISE)
    pm6750 = catalogue.every()["pm6750"]
    quick, noise_quick, bare, naive, noise_naive, decoded = alternated(
        scale.of(ROUNDS, 1),
        lambda: _framed(pm6750, clean),
        lambda: _framed(pm6750, noisy),
        lambda: _unpacked(clean),
        lambda: _naive(clean),
        lambda: _naive(noisy),
        lambda: _decoded(pm6750, noisy),
    )
    rates = [count / median(times) for times in (quick, noise_quick, bare, naive, noise_naive, decoded)]
    target, struct_ = Target(150_000, on="ours", most=False), "bare struct, nothing checked"
    yield Line("pm6750 framed, clean", "/s", rates[0], rates[2], struct_)
    yield Line("pm6750 framed, clean", "/s", rates[0], rates[3], "a framer that trusts every byte")
    yield Line("pm6750 framed, noise between, checked", "/s", rates[1], rates[4], "the same framer", target)
    yield Line("pm6750 framed and decoded, noise between", "/s", rates[5], FULL_LINE, "a full 115200 line")
    yield _lines(scale.of(5_000, 20))
    yield _garbage(scale.of(RUBBISH, 20_000))


def _stream(frames: int, noise: int) -> bytes:
    """Return *frames* finished blood pressures, rubbish that may hold false starts before each."""
    chance = random.Random(1)  # noqa: S311
    said = (packet(0x03, bytes([0, 0, 100 + n % 60, 80, 60 + n % 30])) for n in range(frames))
    return b"".join(chance.randbytes(noise) + frame for frame in said)


def _pieces(data: bytes) -> Iterator[bytes]:
    return (data[at : at + CHUNK] for at in range(0, len(data), CHUNK))


def _frames(driver: Driver, data: bytes) -> Iterator[Frame]:
    framer = driver.framer()
    return (piece for chunk in _pieces(data) for piece in framer.feed(chunk) if isinstance(piece, Frame))


def _framed(driver: Driver, data: bytes) -> int:
    return sum(1 for _ in _frames(driver, data))


def _decoded(driver: Driver, data: bytes) -> int:
    return sum(1 for _ in driver.decode(_frames(driver, data)))


def _unpacked(data: bytes) -> int:
    return sum(1 for _ in PRESSURE.iter_unpack(data))


def _naive(data: bytes) -> int:
    """Cut at every start mark, believe the length byte, look at nothing else and keep nothing."""
    held, found = b"", 0
    for chunk in _pieces(data):
        held += chunk
        while (at := held.find(START)) >= 0 and at + 2 < len(held):
            end = at + 2 + held[at + 2]
            if end > len(held):
                break
            frame, held = held[at:end], held[end:]
            found += bool(frame)
    return found


def _lines(count: int) -> Line:
    omron = catalogue.every()["omron_hbp"]
    text = b"".join(omron_line(number) for number in range(count))
    ours, bare = alternated(ROUNDS, lambda: _decoded(omron, text), lambda: _split(text))
    rates = (count / median(ours), count / median(bare))
    return Line("omron_hbp lines framed and decoded", "/s", *rates, "split at line ends and commas")


def _split(text: bytes) -> int:
    return sum(len(line.split(b",")) for line in text.splitlines())


def _garbage(size: int) -> Line:
    """Return what twice as much garbage costs the driver that likes it least, of the kind it likes least."""
    kinds = {
        "random": random.Random(2).randbytes(size * 2),  # noqa: S311
        "false starts": (START + b"\x40") * (size * 2 // 3),
        "no line end": b"\x02,".ljust(size * 2, b"1"),
    }
    tried = [(kind, driver) for kind in kinds for driver in catalogue.every().values()]
    kind, worst = max(tried, key=lambda one: seconds_of(lambda: _framed(one[1], kinds[one[0]][: size // 20])))
    rubbish = kinds[kind]
    once, twice = alternated(2, lambda: _framed(worst, rubbish[:size]), lambda: _framed(worst, rubbish))
    what = f"{size * 2 / 1e6:g} MB of garbage, slowest of all drivers"
    return Line(what, "s", min(twice), min(once), f"half of it ({worst.name}, {kind})", Target(2.5))
