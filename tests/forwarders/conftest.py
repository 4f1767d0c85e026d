"""The real FHIR server, and a journal of one's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from store.journal import Journal
from tests.fhir_server import fhir_server
from tests.store.journal_making import opened

__all__ = ["fhir_server"]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """An open journal that owes everything to the forwarder `fhir`."""
    journal = opened(tmp_path)
    yield journal
    journal.close()
