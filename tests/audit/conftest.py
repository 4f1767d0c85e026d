"""One running gateway a test, and who asks it."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.web.live import Live


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with Live(tmp_path, fhir={"url": "http://127.0.0.1:9/fhir"}) as running:
        yield running


@pytest.fixture
def client(live: Live) -> Iterator[httpx2.Client]:
    with live.client() as asking:
        yield asking
