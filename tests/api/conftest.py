"""One running gateway a test."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.web.live import Live


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with Live(tmp_path) as running:
        yield running


@pytest.fixture
def client(live: Live) -> Iterator[httpx2.Client]:
    with live.client() as opened:
        yield opened
