"""Pages of 1,000 measurements, from the store and over HTTP, beside SQLite's own JSON array of those rows."""

import http.client
from collections.abc import Iterator
from pathlib import Path

import msgspec

from store.queries import Queries
from tools.bench import stock
from tools.bench.figures import Line, Scale, Target, alternated, median
from tools.bench.raw import JournalRows
from tools.bench.running import DEADLINE_S, HOST, Setup, gateway, until_alive, written

PAGE = 1000
EXAMS = 1000
"""Three measurements each; always enough for one whole page."""


def measure(scale: Scale, folder: Path) -> Iterator[Line]:
    """Measure the first page again and again, each way in turn."""
    journal = stock.opened(folder)
    stock.fill(journal, scale.of(EXAMS, -(-PAGE // stock.AN_EXAM)))
    journal.close()
    setup = written(folder)
    with gateway(setup):
        until_alive(setup)
        rows, queries, client = (
            JournalRows(folder / "journal.db"),
            Queries(folder / "journal.db"),
            _Client(setup),
        )
        try:
            _same(rows, queries, client)
            times = alternated(
                scale.of(60, 3), lambda: rows.json_page(0, PAGE), lambda: _page(queries), client.page
            )
        finally:
            client.close()
            queries.close()
            rows.close()
    array, page, over_http = (1 / median(one) for one in times)
    at_least_half, against = Target(0.5, most=False), "SQLite json_group_array"
    yield Line(f"page of {PAGE:,} from the store", "/s", page, array, against, at_least_half)
    target = Target(300, on="ours", most=False)
    yield Line(f"page of {PAGE:,} over HTTP", "/s", over_http, array, against, target)


class _Client:
    """One connection to the service, kept open as a puller keeps it."""

    def __init__(self, setup: Setup) -> None:
        self._connection = http.client.HTTPConnection(HOST, setup.http_port, timeout=DEADLINE_S)

    def page(self) -> bytes:
        self._connection.request("GET", f"/v1/measurements?limit={PAGE}")
        return self._connection.getresponse().read()

    def close(self) -> None:
        self._connection.close()


def _page(queries: Queries) -> bytes:
    documents, _, _ = queries.page(limit=PAGE)
    return b"[" + b",".join(documents) + b"]"


def _same(rows: JournalRows, queries: Queries, client: _Client) -> None:
    """See that the three give the same measurements, so that it is the same work."""
    plain = [one["id"] for one in msgspec.json.decode(rows.json_page(0, PAGE)[0])]
    stored = [one["id"] for one in msgspec.json.decode(_page(queries))]
    told = [one["id"] for one in msgspec.json.decode(client.page())["measurements"]]
    if not plain == stored == told:
        raise AssertionError("the pages differ")
