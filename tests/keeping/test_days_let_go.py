"""A device's days, once the frames behind them went: still what the facts say, whatever our clock did."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway import keeping
from store.queries import Queries
from tests.keeping.test_retention import Clinic

Visit = tuple[float, bool, bool]
"""Days since the one before by our clock, whether that is synchronised, whether every centre took it."""


@pytest.fixture(autouse=True)
def breathless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "BREATH_S", 0)


def lived(folder: Path, visits: list[Visit], later: list[Visit]) -> Clinic:
    """Return a clinic after *visits*, two years and a half in which frames went, and *later* ones."""
    clinic = Clinic(folder)
    for days, synchronised, taken in visits:
        clinic.now += timedelta(days=days)
        clinic.synchronised = synchronised
        clinic.measured("delivered" if taken else "one")
    clinic.synchronised = True
    clinic.prune()
    for days, synchronised, taken in later:
        clinic.now += timedelta(days=days)
        clinic.synchronised = synchronised
        clinic.measured("delivered" if taken else "one")
    clinic.synchronised = True
    return clinic


def problems(clinic: Clinic) -> list[str]:
    return [one.what for one in clinic.journal.queries.check().problems]


VISITS = st.lists(st.tuples(st.floats(-100, 100), st.booleans(), st.booleans()), max_size=6)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(VISITS, VISITS)
@example([(0.0, True, True), (70.0, False, False)], [])
@example([(0.0, False, True), (70.0, False, False), (1.0, False, False)], [(70.0, False, False)])
def test_what_was_counted_while_nobody_kept_our_clock_is_no_problem(
    tmp_path_factory: pytest.TempPathFactory, visits: list[Visit], later: list[Visit]
) -> None:
    clinic = lived(tmp_path_factory.mktemp("clinic"), visits, later)
    assert problems(clinic) == []
    clinic.prune()
    assert problems(clinic) == []
    clinic.journal.close()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("DELETE FROM device_days WHERE day = '2020-01-01'", "device_days bp/2020-01-01: is missing"),
        ("DELETE FROM device_days WHERE day = '2020-01-02'", "device_days bp/2020-01-02: is missing"),
        (
            """UPDATE device_days SET document = CAST('{"results":9}' AS BLOB) WHERE day = '2020-01-01'""",
            "device_days bp/2020-01-01: is not what the facts say",
        ),
        (
            "INSERT INTO device_days VALUES ('bp', '2019-12-31', CAST('{\"results\":1}' AS BLOB))",
            "device_days bp/2019-12-31: no fact says so",
        ),
    ],
)
@pytest.mark.parametrize("synchronised", [True, False])
def test_a_day_that_was_changed_is_named_though_the_frames_behind_it_went(
    tmp_path: Path, change: str, said: str, *, synchronised: bool
) -> None:
    clinic = lived(tmp_path, [(0.0, synchronised, True)], [])
    clinic.journal.close()
    with closing(sqlite3.connect(clinic.path)) as raw, raw:
        assert raw.execute(change).rowcount == 1
    queries = Queries(clinic.path)
    assert [one.what for one in queries.check().problems] == [said]
    queries.close()
