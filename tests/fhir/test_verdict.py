"""Which HTTP answer is whose fault: the table of what waits for ever and what is shown to a person."""

import pytest

from gateway.fhir.verdict import Broken, judge, wait
from protocol.errors import Refused, Unreachable

OUTCOME = b'{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"x","diagnostics":"why"}]}'


@pytest.mark.parametrize("status", [200, 201])
def test_success_is_silent(status: int) -> None:
    judge(status, {}, b"")


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (401, OUTCOME, "delivery.unauthorised"),
        (403, OUTCOME, "delivery.unauthorised"),
        (407, b"", "delivery.unauthorised"),
        (408, b"", "delivery.unreachable"),
        (425, b"", "delivery.unreachable"),
        (429, OUTCOME, "delivery.throttled"),
        (502, b"<html>", "delivery.unreachable"),
        (503, OUTCOME, "delivery.unreachable"),
        (504, b"", "delivery.unreachable"),
        (301, b"", "delivery.not_fhir"),
        (404, b"<html>not here</html>", "delivery.not_fhir"),
        (405, b"", "delivery.not_fhir"),
        (600, b"", "delivery.unreachable"),
    ],
)
def test_no_usable_answer_never_costs_a_measurement(status: int, body: bytes, code: str) -> None:
    with pytest.raises(Unreachable) as caught:
        judge(status, {}, body)
    assert caught.value.code == code


@pytest.mark.parametrize("status", [400, 404, 409, 412, 413, 422])
def test_a_no_carries_the_servers_own_words(status: int) -> None:
    with pytest.raises(Refused, match="why") as caught:
        judge(status, {}, OUTCOME)
    assert not isinstance(caught.value, Broken)


def test_a_no_without_words_is_a_no() -> None:
    with pytest.raises(Refused, match="413"):
        judge(413, {}, b"<html>too big</html>")


def test_falling_over_is_told_apart() -> None:
    with pytest.raises(Broken):
        judge(500, {}, OUTCOME)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "date": "Wed, 21 Oct 2026 07:28:30 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"ratelimit": '"fhirInteractions";r=0;t=60'}, 60.0),
        ({"ratelimit": "t=5"}, 5.0),
        ({"ratelimit": '"limit=3";r=1'}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert wait(headers) == seconds
