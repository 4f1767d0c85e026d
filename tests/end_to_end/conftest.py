"""The whole stage for tests: simulated machines, the real service, the real FHIR server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tools.stage import Stage


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A stage on which nothing has started; everything ends with the test, and no machine was mistreated."""
    async with Stage(tmp_path) as ready:
        yield ready
        for machine in ready.machines.values():
            assert machine.violations == []
