"""The simulated card reader, byte by byte and as a process beside the real driver, link and conductor."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.catalogue import every
from gateway.identifiers import checked
from protocol.readings import CardRead, Event, Notice
from store.residents import Identifier
from tests.tools.host import Host, talking
from tests.tools.test_simulator_bytes import acts, machine, said
from tools.machines import Machine
from tools.simulators import Fail, Heard, Measure, Refuse, Show, ShowFailure, Violation, simulator

FIND, SELECT, READ = (
    Heard(bytes.fromhex(asked))
    for asked in ("aaaaaa96690003200122", "aaaaaa96690003200221", "aaaaaa96690003300132")
)
CARD = {"number": "999999185403120018", "name": "试一二", "sex": "1"}
NONE = bytes.fromhex("aaaaaa9669000400008084")
FOUND = bytes.fromhex("aaaaaa9669000800009f0000000097")


def test_the_answers_are_the_documented_ones() -> None:
    heard = said(machine("idcard_sam"), FIND, Measure(CARD), FIND, SELECT, READ)
    selected = bytes.fromhex("aaaaaa9669000c00009000000000000000009c")
    assert heard.startswith(NONE + FOUND + selected)
    block = heard[len(NONE + FOUND + selected) :]
    assert len(block) == 1295
    assert block.startswith(bytes.fromhex("aaaaaa9669050800009001000400"))
    assert said(machine("idcard_sam", line="extra_zero"), FIND) == b"\xaa\x00" + NONE[1:]
    new = said(machine("idcard_sam", generation="3"), Measure(CARD), FIND, SELECT, READ)
    assert len(new) - len(FOUND + selected) == 2321


def test_nothing_is_read_that_was_not_found_and_selected() -> None:
    reader = machine("idcard_sam")
    assert said(reader, Measure(CARD), READ) == bytes.fromhex("aaaaaa9669000400004145")
    assert said(machine("idcard_sam"), Measure(CARD), SELECT) == bytes.fromhex("aaaaaa9669000400008185")


def test_what_no_gateway_may_send_is_told_and_nonsense_refused() -> None:
    reset = Heard(bytes.fromhex("aaaaaa966900 0310ffec".replace(" ", "")))
    done = acts(
        machine("idcard_sam"), reset, Heard(bytes(range(256))), Measure({}), Fail("nonsense"), Measure(CARD),
        FIND, SELECT, READ,
    )  # fmt: skip
    assert Violation("a question no gateway puts: 10 ff") in done
    assert len([act for act in done if isinstance(act, Refuse)]) == 2
    assert done[-1] == Show({"number": CARD["number"], "name": CARD["name"]})


@pytest.mark.parametrize("fault", ["not_selected", "not_read", "taken_away"])
def test_each_fault_happens_once(fault: str) -> None:
    twice = (Measure(CARD), FIND, FIND, SELECT, READ) * 2
    done = acts(machine("idcard_sam"), Fail(fault), *twice)
    assert ShowFailure(fault) in done
    assert [act for act in done if isinstance(act, Show)]


@given(seed=st.integers(0, 10_000))
def test_the_people_are_nobody_and_have_good_numbers(seed: int) -> None:
    who: Mapping[str, str] = simulator("idcard_sam").person(Random(seed))
    assert checked([Identifier("cn-id", who["number"])])
    assert who["number"].startswith("99999918")


async def until(host: Host, wanted: str) -> Event:
    """Return the next event of this name: a notice's code, or `card`."""
    while True:
        event = await host.event(Event)
        name = event.code if isinstance(event, Notice) else "card" if isinstance(event, CardRead) else ""
        if name == wanted:
            return event


@pytest.mark.parametrize(
    "options", [{}, {"found_again": "no", "generation": "3"}, {"line": "extra_zero"}], ids=str
)
async def test_the_gateway_reads_each_card_once(options: dict[str, str], tmp_path: Path) -> None:
    host = Host("idcard_sam", {})
    someone = simulator("idcard_sam").person(Random(5))
    async with (
        Machine("idcard_sam", tmp_path / "port", options=options) as reader,
        talking(host, reader.link),
    ):
        assert (await reader.measure(CARD))["number"] == CARD["number"]
        first = await until(host, "card")
        await reader.measure(someone)
        second = await until(host, "card")
        assert isinstance(first, CardRead)
        assert isinstance(second, CardRead)
        assert (first.number, first.name, first.birth_date) == (
            CARD["number"], CARD["name"], datetime(1854, 3, 12).date(),
        )  # fmt: skip
        assert (second.number, second.name) == (someone["number"], someone["name"])
        assert host.readings.empty()
        assert host.events.empty()
        assert reader.violations == []


async def test_what_goes_wrong_with_a_card_is_said_and_the_next_try_is_good(tmp_path: Path) -> None:
    host = Host("idcard_sam", {})
    told = {
        "not_selected": "idcard_sam.select_failed",
        "not_read": "idcard_sam.read_failed",
        "taken_away": "idcard_sam.taken_away",
    }
    async with Machine("idcard_sam", tmp_path / "port") as reader, talking(host, reader.link):
        for seed, (fault, code) in enumerate(told.items()):
            who = simulator("idcard_sam").person(Random(seed))
            reader.order({"fail": fault})
            reader.order({"measure": who})
            assert isinstance(await until(host, code), Notice)
            if fault == "taken_away":
                reader.order({"measure": who})
            found = await until(host, "card")
            assert isinstance(found, CardRead)
            assert found.number == who["number"]
        reader.order({"measure": {**CARD, "number": "999999185403120010"}})
        assert await until(host, "id.check_digit")
        assert reader.violations == []


async def test_a_cable_pulled_in_the_middle_of_a_card_gives_no_card(tmp_path: Path) -> None:
    host = Host("idcard_sam", {})
    async with Machine("idcard_sam", tmp_path / "port") as reader:
        async with talking(host, reader.link) as conversation:
            reader.order({"measure": CARD, "half": True})
            with pytest.raises(Exception, match="link"):
                await conversation
        await reader.replug()
        async with talking(host, reader.link):
            assert await until(host, "card")
    assert every()["idcard_sam"].kinds == ()
