"""The example in docs/fhir.md is what is sent, byte for byte in meaning."""

import json
import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from gateway.fhir import bundle
from gateway.fhir.plan import Ends, planned
from store.facts import Effective
from tests.fhir.made import ADA, MORNING, measurement, outgoing, setting

PAGE = Path(__file__).parents[2] / "docs" / "fhir.md"


def sent() -> bytes:
    """The transaction of the page's example."""
    one = measurement(
        "glucose",
        id="box-1.k7f2mq.118",
        context={"fasting": "yes"},
        device_time=datetime(2026, 11, 21, 9, 12, 5),
        clock_offset_s=-1080.0,
        effective=Effective(MORNING, "device_corrected", "clock_offset"),
        bound_by="nurse-3",
        evidence_sha256="5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef",
    )
    ends = Ends(
        {
            "type": "Patient",
            "identifier": {"system": "urn:oid:2.16.156.10011.1.3", "value": ADA.identifiers[0].value},
        },
        {"reference": "Device/41"},
        {"reference": "Device/42"},
    )
    plan = planned([outgoing(one)], [ends], {}, setting(), base="http://centre.example/fhir", tagged=True)
    return bundle.transaction([line.entry for line in plan.lines])


def test_the_example_is_what_is_sent() -> None:
    found = re.search(r"```json\n(.*?)\n```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    example = json.loads(found[1], parse_float=Decimal)
    assert example == json.loads(sent(), parse_float=Decimal)
    assert '"value": 5.60' in found[1]
