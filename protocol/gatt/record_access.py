"""Record Access Control Point (2A52): asking a device for its stored records. Source: ble/sig_gls.md.

Records are only ever counted and reported here; the operation that erases them cannot be built.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from protocol.errors import MalformedValue
from protocol.gatt.fields import Fields
from protocol.readings import Event, Notice

CONTROL_POINT = "2A52"
REPORT_ALL, REPORT_FIRST, REPORT_LAST = b"\x01\x01", b"\x01\x05", b"\x01\x06"
COUNT_ALL = b"\x04\x01"
OPERATIONS = {
    1: "report",
    2: "delete",
    3: "abort",
    4: "count",
    5: "count_response",
    6: "response",
    7: "combined_report",
    8: "combined_report_response",
}
OPERATORS = {0: "null", 1: "all", 2: "up_to", 3: "from", 4: "between", 5: "first", 6: "last"}
FILTERED = {2: 1, 3: 1, 4: 2}
"""How many values stand behind the filter of an operator."""
FILTERS = {1: ("sequence", 2), 2: ("time", 7)}
COUNT_RESPONSE, RESPONSE, COMBINED_RESPONSE = 5, 6, 8
RESULTS = {
    1: "success",
    2: "operation_not_supported",
    3: "invalid_operator",
    4: "operator_not_supported",
    5: "invalid_operand",
    6: "no_records",
    7: "abort_unsuccessful",
    8: "not_completed",
    9: "operand_not_supported",
    10: "busy",
}
SUCCESS, NO_RECORDS = "success", "no_records"


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of a procedure: how many records there are, or how a request ended."""

    request: int
    result: str
    count: int | None = None


def report_from(sequence: int) -> bytes:
    """Return the request for all records from *sequence* on."""
    return b"\x01\x03\x01" + sequence.to_bytes(2, "little")


def report_one(sequence: int) -> bytes:
    """Return the request for the one record of *sequence*."""
    return b"\x01\x04\x01" + sequence.to_bytes(2, "little") * 2


def answer(data: bytes) -> Answer | None:
    """Return what *data* answers, None where it is no answer; raise MalformedValue where it is cut short."""
    fields = Fields(data)
    operation, _ = fields.number(1), fields.number(1)
    if operation in {COUNT_RESPONSE, COMBINED_RESPONSE}:
        return Answer(operation - 1, SUCCESS, fields.number(2))
    if operation != RESPONSE:
        return None
    request, result = fields.number(1), fields.number(1)
    return Answer(request, RESULTS.get(result, f"result {result}"))


def told(data: bytes) -> Iterator[Event]:
    """Yield what a value of the control point says, a request as well as an answer."""
    said = answer(data)
    if said is None:
        yield Notice("record_access.asked", _request(data))
        return
    detail = {"request": OPERATIONS.get(said.request, str(said.request)), "result": said.result}
    yield Notice(
        "record_access.answered", detail | ({} if said.count is None else {"count": str(said.count)})
    )


def _request(data: bytes) -> dict[str, str]:
    fields = Fields(data)
    operation, operator = fields.number(1), fields.number(1)
    if operation not in OPERATIONS or operator not in OPERATORS:
        raise MalformedValue(f"no operation of the control point: {data.hex(' ')}")
    detail = {"request": OPERATIONS[operation], "operator": OPERATORS[operator]}
    if operator not in FILTERED:
        return detail
    chosen = fields.number(1)
    if chosen not in FILTERS:
        raise MalformedValue(f"no filter {chosen}")
    name, size = FILTERS[chosen]
    values = [fields.take(size) for _ in range(FILTERED[operator])]
    numbers = [
        str(int.from_bytes(value, "little")) if name == "sequence" else value.hex() for value in values
    ]
    return detail | {name: " ".join(numbers)}
