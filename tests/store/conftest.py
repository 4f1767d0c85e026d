"""A journal of one's own for each test of the store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from journal_making import opened

from store.journal import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Return an empty journal, opened, that forwards to `fhir`."""
    made = opened(tmp_path)
    yield made
    made.close()
