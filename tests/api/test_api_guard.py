"""The door: names, sites, headers."""

import pytest

from gateway.api.guard import host_allowed
from gateway.config import HttpConfig
from tests.web.live import PERSON

OPENING = {"resident": PERSON, "operator": "li"}


def test_another_name_for_this_box_is_refused(live, client):
    port = live.url.rpartition(":")[2]
    for host in ("evil.example", f"evil.example:{port}", "", "127.0.0.1.evil.example", "localhost.evil"):
        answer = client.get("/v1/measurements", headers={"host": host})
        assert (answer.status_code, answer.json()["code"]) == (421, "http.host"), host
    for host in (f"localhost:{port}", "127.0.0.1", "[::1]:8480", "LOCALHOST"):
        assert client.get("/livez", headers={"host": host}).status_code == 200, host


@pytest.mark.parametrize(
    ("configured", "asked", "allowed"),
    [
        ("0.0.0.0", "192.168.1.5:8480", True),
        ("0.0.0.0", "evil.example:8480", False),
        ("192.168.1.5", "192.168.1.5:8480", True),
        ("192.168.1.5", "192.168.1.6", False),
        ("::", "[fe80::1]:8480", True),
        ("fe80::1", "[fe80::1]:8480", True),
    ],
)
def test_the_configured_host_decides(configured, asked, allowed):
    assert host_allowed(asked, HttpConfig(host=configured)) is allowed


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/exams", "/exams"])
def test_another_site_cannot_post(client, headers, path):
    answer = client.post(path, json=OPENING, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "http.cross_site")
    assert client.get("/v1/exams").json()["exams"] == []


def test_our_own_page_and_programs_can(live, client):
    own = {"origin": live.url, "sec-fetch-site": "same-origin"}
    assert client.post("/v1/exams", json=OPENING, headers=own).status_code == 201
    assert client.post("/v1/exams", json=OPENING).status_code == 201


def test_every_answer_carries_the_headers(client):
    for path in ("/", "/v1/measurements", "/nowhere", "/static/page.js"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers or "uvicorn" in headers["server"]


def test_health(live, client):
    assert client.get("/livez").json() == {"alive": True}
    assert client.get("/readyz").json() == {"ready": True, "reasons": []}
    live.faults.append("store.disk_full")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert [one["code"] for one in answer.json()["reasons"]] == ["store.disk_full"]


def test_a_closed_store_is_not_ready(live, client):
    live.gateway.journal.queries.close()
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["reasons"][0]["code"].startswith("store.")
    assert client.get("/livez").status_code == 200
