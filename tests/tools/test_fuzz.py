"""The fuzz target holds for thousands of mutated captures, and notices a driver that breaks a promise."""

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import pytest

from drivers.catalogue import Decoded, Driver, every
from protocol.framing import Frame, Framer, LineFramer, Noise
from tools.fuzz import PromiseBroken, arcs, check, corpus, mutations, pieces, worth_keeping

COUNT = 300


@pytest.mark.parametrize("name", every())
def test_no_mutated_capture_breaks_a_promise(name: str) -> None:
    for data in mutations(name, COUNT, seed=1):
        check(every()[name], data)


@pytest.mark.parametrize("name", every())
def test_no_input_an_earlier_search_found_breaks_a_promise(name: str) -> None:
    for data in corpus(name):
        check(every()[name], data)


def test_what_is_kept_goes_every_way_the_rest_went() -> None:
    driver = every()["omron_hbp"]
    inputs = list(mutations("omron_hbp", 60, seed=2))
    for data in inputs:
        arcs(driver, data)  # what runs once only, such as a cache filling, is not counted below
    kept = worth_keeping(driver, inputs)
    assert 1 < len(kept) < len(inputs)
    gone = set().union(*(arcs(driver, data) for data in kept))
    assert gone == set().union(*(arcs(driver, data) for data in inputs))


def test_the_same_seed_gives_the_same_inputs() -> None:
    assert list(mutations("pm6750", 50, 3)) == list(mutations("pm6750", 50, 3))
    assert list(mutations("pm6750", 50, 3)) != list(mutations("pm6750", 50, 4))


def test_pieces_are_the_bytes() -> None:
    assert b"".join(pieces(bytes(range(200)))) == bytes(range(200))


class Losing(LineFramer):
    def finish(self) -> Iterator[Frame | Noise]:
        return iter(())


class CutDependent(LineFramer):
    def feed(self, chunk: bytes) -> Iterator[Frame | Noise]:
        yield Frame(chunk)


def raising(frames: Iterable[Frame]) -> Iterator[Decoded]:
    for frame in frames:
        int(frame.data)
    return iter(())


@pytest.mark.parametrize("framer", [Losing, CutDependent])
def test_a_framer_that_breaks_its_promise_is_found(framer: Callable[[], Framer]) -> None:
    broken: Driver = replace(every()["omron_hbp"], framer=framer)
    with pytest.raises(PromiseBroken):
        check(broken, b"a line that goes on and on, without an end")


def test_a_decoder_that_raises_is_found() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        check(replace(every()["omron_hbp"], decode=raising), b"no number\r")


def test_the_guided_search_runs_and_ends() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.fuzz", "--seconds", "1", "omron_hbp"], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert b"fuzz: omron_hbp for 1 s" in done.stdout
    assert b"Done " in done.stderr
