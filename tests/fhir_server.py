"""The real FHIR server as a fixture: one process a test worker, on a free loopback port, stopped at the end.

Import `fhir_server` in a conftest.py and put `pytestmark = pytest.mark.xdist_group("fhir")` into the test
files, so that one worker runs them all and one server is started.
"""

import pytest

from tools.fhir_server import FhirServer

RUNNING = pytest.StashKey[FhirServer]()


@pytest.fixture(scope="session")
def fhir_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FhirServer:
    """A running server. Others use it too: tell your resources apart by identifiers of your own."""
    config = request.config
    if RUNNING not in config.stash:
        server = FhirServer()
        server.start(tmp_path_factory.mktemp("fhir-server"))
        config.add_cleanup(server.stop)
        config.stash[RUNNING] = server
    return config.stash[RUNNING]
