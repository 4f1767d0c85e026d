"""`record` writes nobody's name or number down, unless it is asked to; the transcript still plays."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from drivers import catalogue
from protocol.transcript import Heard, parse
from tests.tools.programs import TRANSCRIPTS, appears, device, interrupted, lines_until, run, running
from tools.machines import Machine
from tools.main import cli

ID = b"12345678901234567890"
LINE = b"2026,07,11,09,05," + ID + b",0,120,080,072,0\r\n"
CARD = {"number": "999999185403120018", "name": "试一二"}


def heard(path: Path) -> bytes:
    turns = parse(path.read_text(encoding="utf-8")).turns
    return b"".join(turn.data for turn in turns if isinstance(turn, Heard))


def test_a_typed_number_is_blanked_and_the_transcript_plays(tmp_path: Path) -> None:
    made = tmp_path / "omron_hbp-made.txt"
    with (
        device(tmp_path / "port") as master,
        running("record", tmp_path / "port", "--driver", "omron_hbp", "-o", made) as it,
    ):
        master.write(LINE + b"ID of " + ID + b"\r" + LINE)
        shown = lines_until(it, "reading")
        shown += lines_until(it, "reading")
        assert interrupted(it) == 0
    assert ID.decode() not in made.read_text() + "".join(shown)
    blank = LINE.replace(ID, b" " * 20)
    assert heard(made) == blank + b"ID" + b"*" * 24 + b"\r" + blank
    played = run("replay", made)
    assert played.returncode == 0, played.stderr
    assert played.stdout.count("systolic 120 mm[Hg]") == 2


def test_a_number_is_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    made = tmp_path / "omron_hbp-made.txt"
    words = ("record", tmp_path / "port", "--driver", "omron_hbp", "-o", made, "--with-identity")
    with device(tmp_path / "port") as master, running(*words) as it:
        master.write(LINE)
        assert ID.decode() in lines_until(it, "reading")[-1]
        assert interrupted(it) == 0
    assert heard(made) == LINE
    assert run("replay", made).returncode == 0


async def test_a_card_leaves_nobody_in_the_transcript(tmp_path: Path) -> None:
    made = tmp_path / "idcard_sam-made.txt"
    async with Machine("idcard_sam", tmp_path / "port") as reader:
        with running("record", reader.link, "--driver", "idcard_sam", "-o", made) as it:
            reader.order({"measure": CARD})
            shown = lines_until(it, "card was read")
            assert interrupted(it) == 0
    said = heard(made)
    assert len(said) > 1295
    for secret in CARD.values():
        assert secret not in made.read_text() + "".join(shown)
        assert secret.encode("utf-16-le") not in said
    played = run("replay", made)
    assert played.returncode == 0, played.stderr
    assert "~ card cn-id" in played.stdout


def test_a_damaged_card_leaves_nobody_either(tmp_path: Path) -> None:
    """What is no frame may be most of a card: it is blanked whole, and the conversation is still the same."""
    made, port = tmp_path / "idcard_sam-made.txt", tmp_path / "port"
    with running("replay", TRANSCRIPTS / "idcard_sam-damaged.txt", "--pty", port):
        appears(port)
        with running("record", port, "--driver", "idcard_sam", "-o", made) as it:
            assert "idcard_sam.read_failed" in lines_until(it, "card was read")[-2]
            assert interrupted(it) == 0
    said = heard(made)
    assert len(said) > 2 * 1295
    for secret in (CARD["name"], CARD["number"], CARD["number"][6:14]):
        assert secret.encode("utf-16-le") not in said
    played = run("replay", made)
    assert played.returncode == 0, played.stderr
    assert [line for line in played.stdout.splitlines() if "no_card" not in line] == [
        "~ notice idcard_sam.ready",
        "~ notice idcard_sam.read_failed",
        "~ card cn-id",
    ]


def test_a_driver_that_cannot_blank_records_nothing_unasked(tmp_path: Path) -> None:
    words = ("record", tmp_path / "nothing", "--driver", "line", "-o", tmp_path / "made.txt")
    ended = run(*words)
    assert ended.returncode == 6
    assert "record.identity" in ended.stderr
    assert not (tmp_path / "made.txt").exists()
    assert run(*words, "--with-identity").returncode == 4, "then the port is looked for"


def test_a_driver_that_never_said_it_names_people_ends_at_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plug-in may have forgotten to say so: nothing is written once one reading names somebody."""
    known = dict(catalogue.every())
    known["omron_hbp"] = replace(known["omron_hbp"], redact=None)
    monkeypatch.setattr(catalogue, "every", lambda: known)
    words = ["record", str(tmp_path / "port"), "--driver", "omron_hbp", "-o", str(tmp_path / "made.txt")]
    with device(tmp_path / "port") as master:
        master.write(LINE.replace(ID, b" " * 20) + LINE)
        ended = CliRunner().invoke(cli, [*words, "--seconds", "20"])
    assert ended.exit_code == 6
    assert ID.decode() not in ended.output
    assert not (tmp_path / "made.txt").exists()
