"""Every error has one form; nothing anybody sends makes the server stumble."""

import json
import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import messages
from tests.web.live import PERSON, Live, pressure, until

POSTS = (
    "/v1/exams",
    "/v1/exams/{}/close",
    "/v1/measurements/{}/bind",
    "/v1/devices/{}/order",
    "/v1/devices/{}/point",
    "/v1/outbox/resend",
)
FORMS = ("/exams", "/exams/{}/close", "/devices/{}/order", "/point", "/bind", "/resend")
GETS = (
    "/v1/measurements/{}",
    "/v1/measurements/{}/evidence",
    "/v1/exams/{}",
    "/v1/devices/{}",
    "/problems/{}",
    "/fragments/{}",
    "/language/{}",
    "/fhir/Observation/{}",
    "/{}",
)
SEARCHES = {
    "/v1/measurements": ("after", "limit", "status", "kind", "resident"),
    "/v1/exams": ("open",),
    "/v1/outbox": ("state", "limit"),
    "/fhir/Observation": (
        "identifier",
        "code",
        "patient.identifier",
        "subject:identifier",
        "_count",
        "_after",
    ),
    "/": ("exam",),
    "/fragments/exam": ("exam",),
}


def problem(answer, status: int, code: str) -> dict:
    """Assert the one form of an error and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["code"] == code
    assert body["type"] == f"/problems/{code}"
    assert body["title"]
    assert body["detail"] == messages.text(code, "zh-CN")
    return body


def test_the_form_of_errors(client):
    problem(client.get("/nowhere"), 404, "http.not_found")
    problem(client.get("/v1/measurements/none"), 404, "measurement.unknown")
    problem(client.get("/v1/measurements/none/evidence"), 404, "measurement.unknown")
    problem(client.get("/v1/exams/none"), 404, "exam.unknown")
    problem(client.post("/v1/exams/none/close", json={"operator": "li"}), 404, "exam.unknown")
    wrong = client.delete("/v1/exams")
    problem(wrong, 405, "http.method")
    assert "POST" in wrong.headers["allow"]
    problem(
        client.post("/v1/exams", content=b"{", headers={"content-type": "application/json"}),
        422,
        "http.invalid",
    )
    large = client.post("/v1/exams", content=b"[" * 70_000, headers={"content-type": "application/json"})
    problem(large, 413, "http.too_large")

    def chunks():
        for _ in range(70):
            yield b"[" * 1024

    problem(
        client.post("/v1/exams", content=chunks(), headers={"content-type": "application/json"}),
        413,
        "http.too_large",
    )


def test_a_validation_error_names_the_place_and_never_the_value(client):
    wrong = {"resident": {**PERSON, "sex": "110101185403120017"}, "operator": "li", "extra": 1}
    answer = client.post("/v1/exams", json=wrong)
    body = problem(answer, 422, "http.invalid")
    assert {one["at"] for one in body["errors"]} == {"body/resident/sex", "body/extra"}
    assert "110101185403120017" not in answer.text


def test_the_language_follows_the_client_else_the_box(client):
    for accept, language in (("en-GB, zh;q=0.5", "en"), ("fr", "zh-CN"), ("zh", "zh-CN"), ("en;q=x,*", "en")):
        answer = client.get("/v1/exams/none", headers={"accept-language": accept})
        assert answer.json()["detail"] == messages.text("exam.unknown", language), accept


def test_a_problem_type_leads_to_its_texts(client):
    kind = client.get("/v1/exams/none").json()["type"]
    texts = client.get(kind).json()["texts"]
    assert texts == {one: messages.text("exam.unknown", one) for one in ("zh-CN", "en")}


def test_an_unexpected_error_says_nothing_of_its_inside(live, caplog):
    number = PERSON["identifiers"][0]["value"]

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(number)

    live.context.queries.exam = broken  # type: ignore[method-assign]
    with caplog.at_level(logging.DEBUG), live.client() as client:
        answer = client.get("/v1/exams/e-1")
    problem(answer, 500, "http.internal")
    assert number not in answer.text + caplog.text
    assert "RuntimeError" in caplog.text


def test_the_access_log_holds_no_query_value(client, caplog):
    with caplog.at_level(logging.INFO, logger="gateway.access"):
        client.get("/v1/measurements", params={"resident": "110101185403120017"})
        lines = lambda: [one.getMessage() for one in caplog.records if one.name == "gateway.access"]  # noqa: E731
        until(lines)
    [line] = lines()
    assert line.startswith("GET /v1/measurements 200 ")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with Live(tmp_path_factory.mktemp("fuzz")) as live, live.client(follow_redirects=False) as client:
        live.open(client)
        live.report("bp-1", pressure())
        yield client


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec=None)), inner, max_size=4)
    ),
    max_leaves=12,
)
words = st.text(max_size=250) | st.sampled_from(
    ["bp-1", "e-gw-1-1", "fhir", "exam", "\ud800", "\x00", "../..", "v1-5"]
)
body = st.one_of(
    any_json,
    st.fixed_dictionaries(
        {},
        optional={
            "resident": any_json | st.fixed_dictionaries({"name": words, "identifiers": any_json}),
            "operator": words,
            "exam": words | st.none(),
            "reason": words,
            "order": words,
            "arguments": st.dictionaries(words, words, max_size=3),
            "forwarder": words,
            "measurement": words,
        },
    ),
)
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def escaped(text: str) -> str:
    """Return any text as a path segment, half surrogates too."""
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


def fine(answer) -> None:
    """Assert an answer the contract allows: no 5xx, and errors in their one form or a whole page."""
    assert answer.status_code < 500, (answer.request.url, answer.text)
    if answer.status_code >= 400:
        kind = answer.headers["content-type"]
        assert kind == "application/problem+json" or kind.startswith("text/html")


@FUZZ
@given(st.sampled_from(POSTS), words, body)
def test_no_body_makes_the_server_stumble(shared, path, word, sent):
    content = json.dumps(sent).encode()
    where = path.replace("{}", escaped(word))
    fine(shared.post(where, content=content, headers={"content-type": "application/json"}))


@FUZZ
@given(
    st.sampled_from(FORMS),
    words,
    st.dictionaries(
        st.sampled_from(
            [
                "system",
                "number",
                "name",
                "operator",
                "exam",
                "device",
                "order",
                "measurement",
                "reason",
                "forwarder",
            ]
        ),
        words,
    ),
)
def test_no_form_makes_the_server_stumble(shared, path, word, sent):
    content = "&".join(f"{name}={escaped(value)}" for name, value in sent.items())
    headers = {"content-type": "application/x-www-form-urlencoded"}
    fine(shared.post(path.replace("{}", escaped(word)), content=content, headers=headers))


@FUZZ
@given(st.sampled_from(GETS), words)
def test_no_address_makes_the_server_stumble(shared, path, word):
    fine(shared.get(path.replace("{}", escaped(word))))


@FUZZ
@given(st.data())
def test_no_search_makes_the_server_stumble(shared, data):
    path = data.draw(st.sampled_from(sorted(SEARCHES)))
    asked = data.draw(
        st.dictionaries(st.sampled_from(SEARCHES[path]), words | st.integers().map(str), max_size=3)
    )
    query = "&".join(f"{name}={escaped(value)}" for name, value in asked.items())
    fine(shared.get(f"{path}?{query}"))


@FUZZ
@given(
    st.dictionaries(
        st.sampled_from(["cookie", "accept-language", "origin", "sec-fetch-site", "host", "content-type"]),
        st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60),
    )
)
def test_no_header_makes_the_server_stumble(shared, headers):
    answer = shared.get("/", headers=headers)
    assert answer.status_code < 500
