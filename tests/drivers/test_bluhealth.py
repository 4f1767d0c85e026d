"""BluHealth board: only a locked weight is a result, and a height only while somebody is there."""

from drivers.bluhealth import DRIVER
from drivers.catalogue import Refusal
from protocol.readings import Progress, Reading
from tests.rig import Bench, Host, Journal
from tests.vector_rows import decoded
from tools.simulators import Fail, Measure, Show, ShowFailure, simulator


def test_only_a_locked_weight_is_a_result() -> None:
    kinds = {
        "WEIGHT: 62.3 kg (locked)": Reading,
        "WEIGHT: 62.3 kg (measuring)": Progress,
        "WEIGHT: 62.3 kg (reset)": Progress,
        "WEIGHT: -- kg (reset)": Progress,
        "WEIGHT: 62.3 kg": Refusal,
        "WEIGHT: 62.3 lb (locked)": Refusal,
        "WEIGHT: 0.0 kg (locked)": Refusal,
        "WEIGHT: -62.3 kg (locked)": Refusal,
        "WEIGHT: 62.3 kg (locked) (error)": Refusal,
        "HEIGHT: 170.5": Refusal,
        "HEIGHT: 0 cm": Refusal,
    }
    said = {line: decoded("bluhealth", f"{line}\r\n".encode()) for line in kinds}
    assert {line: type(one) for line, (one,) in said.items()} == kinds


def test_an_error_is_a_failed_measurement_whatever_number_stands_beside_it() -> None:
    for line in (b"WEIGHT: 62.3 kg (error)\n", b"WEIGHT: -- kg (error)\n"):
        (reading,) = decoded("bluhealth", line)
        assert isinstance(reading, Reading)
        assert (reading.failed, dict(reading.values)) == ("device_error:error", {})


def test_the_simulated_board_weighs_two_people_and_fails_once() -> None:
    bench, journal = Bench(simulator("bluhealth")), Journal()
    Host(bench, DRIVER, journal, {})
    for cue in (Measure({"body_weight": "62.3"}), Fail("error"), Measure({"body_weight": "62.3"})):
        bench.cue(cue)
    bench.run(seconds=5)
    said = [next((str(value.value) for value in one.values.values()), one.failed) for one in journal.readings]
    assert said == ["62.3", "device_error:error", "62.3"]
    weight = Show({"body_weight": "62.3"})
    assert bench.told == [weight, ShowFailure("error"), weight]
