"""Cables and servers for the tests of links."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cables import Cable

from tests.ser2net import Ser2net


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[Cable]:
    made = Cable(tmp_path / "device")
    yield made
    made.pull()


@pytest.fixture
def cables(tmp_path: Path) -> Iterator[Callable[[], Cable]]:
    made: list[Cable] = []

    def make() -> Cable:
        made.append(Cable(tmp_path / f"device-{len(made)}"))
        return made[-1]

    yield make
    for cable in made:
        cable.pull()


@pytest.fixture
def ser2net(tmp_path: Path, cable: Cable) -> Iterator[Callable[[str], Ser2net]]:
    with ExitStack() as stack:

        def start(accepter: str) -> Ser2net:
            server = Ser2net(tmp_path, {"device": str(cable.port)}, accepter)
            stack.callback(server.stop)
            return server

        yield start
