"""Pull: every version once, in order, with a cursor that stays true while new rows arrive."""

from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import httpx2

from protocol.readings import Kind
from tests.web.live import OTHER, PERSON, body, pressure, reading


def pulled(
    client: httpx2.Client, after: str | None = None, limit: int = 3, **more: str
) -> tuple[list[dict], str]:
    """Return everything from a cursor to the end, and the last cursor."""
    found: list[dict] = []
    while True:
        asked = {"limit": str(limit), **more} | ({"after": after} if after else {})
        answer = client.get("/v1/measurements", params=asked).raise_for_status().json()
        assert len(answer["measurements"]) <= limit
        found += answer["measurements"]
        after = answer["next"]
        if not answer["more"]:
            return found, after


def test_an_empty_journal_has_nothing_and_a_cursor(client):
    answer = client.get("/v1/measurements").json()
    assert answer["measurements"] == []
    assert answer["more"] is False
    assert client.get("/v1/measurements", params={"after": answer["next"]}).json()["measurements"] == []


def test_one_measurement_as_the_contract_writes_it(live, client):
    exam = live.open(client)
    live.report("bp-1", pressure())
    [one], _ = pulled(client)
    assert one["values"]["systolic"] == {"value": "152", "unit": "mm[Hg]"}
    assert one["kind"] == "blood_pressure"
    assert one["status"] == "final"
    assert one["exam"] == exam
    assert one["resident"]["identifiers"] == PERSON["identifiers"]
    assert client.get(f"/v1/measurements/{one['id']}").json() == one


def test_precision_is_kept(live, client):
    live.report("glu-1", reading(Kind.GLUCOSE, {"glucose": ("5.60", "mmol/L")}))
    [one], _ = pulled(client)
    assert one["values"]["glucose"]["value"] == "5.60"


def test_evidence_holds_the_frames_and_their_hash(live, client):
    heard = pressure()
    live.report("bp-1", heard)
    [one], _ = pulled(client)
    evidence = client.get(f"/v1/measurements/{one['id']}/evidence").json()
    assert evidence["frames"] == [heard.evidence[0].hex()]
    assert evidence["sha256"] == sha256(heard.evidence[0]).hexdigest()


def test_every_version_appears_and_pages_of_any_size_give_the_same(live, client):
    first, second = live.open(client), live.open(client, OTHER)
    for systolic in range(120, 127):
        live.report("bp-1", pressure(str(systolic)))
    lying, _ = pulled(client)
    for one in lying:
        asked = {"exam": second, "operator": "li", "reason": "named on the slip"}
        client.post(f"/v1/measurements/{one['id']}/bind", json=asked).raise_for_status()
    by_size = [
        [(one["id"], one["version"]) for one in pulled(client, limit=size)[0]] for size in (1, 4, 1000)
    ]
    assert by_size[0] == by_size[1] == by_size[2]
    assert len(set(by_size[0])) == len(by_size[0]) == 14
    assert first != second


def test_the_cursor_is_true_while_rows_arrive(live, client):
    written = 40

    def measure() -> None:
        for number in range(written):
            live.report("bp-1", pressure(str(100 + number)))

    found: list[dict] = []
    after: str | None = None
    with ThreadPoolExecutor(1) as other:
        measuring = other.submit(measure)
        while not measuring.done():
            more, after = pulled(client, after, limit=7)
            found += more
        measuring.result()
    found += pulled(client, after, limit=7)[0]
    assert [one["values"]["systolic"]["value"] for one in found] == [str(100 + n) for n in range(written)]


def test_filters(live, client):
    live.open(client)
    live.report("bp-1", pressure())
    live.report("hw-1", body())
    assert {one["kind"] for one in pulled(client, kind="body_size")[0]} == {"body_size"}
    assert pulled(client, status="corrected")[0] == []
    number = PERSON["identifiers"][0]["value"]
    assert len(pulled(client, resident=number)[0]) == 2
    assert pulled(client, resident="110101189803120022")[0] == []


def test_a_wrong_cursor_or_limit_is_refused(client):
    wrong = client.get("/v1/measurements", params={"after": "nonsense"})
    assert (wrong.status_code, wrong.headers["content-type"]) == (400, "application/problem+json")
    for limit in ("0", "1001", "-1", "many", "9" * 40):
        assert client.get("/v1/measurements", params={"limit": limit}).status_code == 422


def test_bind_rebind_and_back_to_the_tray(live, client):
    first, second = live.open(client), live.open(client, OTHER)
    live.report("bp-1", pressure())
    [lying], _ = pulled(client)
    assert (lying["exam"], lying["status"]) == (None, "preliminary")
    address = f"/v1/measurements/{lying['id']}/bind"
    assert client.post(address, json={"exam": first, "operator": "li", "reason": " "}).status_code == 422
    bound = client.post(address, json={"exam": first, "operator": "li", "reason": "the slip says so"}).json()
    assert (bound["id"], bound["exam"], bound["status"]) == (lying["id"], first, "final")
    again = client.post(address, json={"exam": second, "operator": "li", "reason": "wrong person"}).json()
    assert again["id"] != lying["id"]
    assert (again["exam"], again["status"], again["replaces"]) == (second, "final", lying["id"])
    withdrawn = client.get(f"/v1/measurements/{lying['id']}").json()
    assert (withdrawn["status"], withdrawn["replaced_by"]) == ("entered-in-error", again["id"])
    tray = {"exam": None, "operator": "li", "reason": "not hers either"}
    back = client.post(f"/v1/measurements/{again['id']}/bind", json=tray).json()
    assert back["exam"] is None
