"""Nobody can be named from anything a real service leaves behind: every file of it is searched."""

import asyncio
import base64
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from tools.demo import delivered
from tools.people import Person, Vitals, person
from tools.stage import Stage
from tools.visit import visit

pytestmark = pytest.mark.xdist_group("end-to-end")

ENCODINGS = ("utf-8", "gb18030", "utf-16-le", "utf-16-be")


def forms(text: str) -> set[bytes]:
    """Return how a text may lie in a file: in each encoding of this country, as hex, base64, JSON or URL."""
    plain = {text.encode(one) for one in ENCODINGS}
    written = {ascii(text)[1:-1].encode(), quote(text).encode()}
    return plain | written | {form for one in plain for form in (one.hex().encode(), _base64(one))}


def _base64(data: bytes) -> bytes:
    """Return the letters that stand for *data* wherever it begins on a group of three."""
    return base64.b64encode(data)[: len(data) // 3 * 4]


def told_of(who: Person) -> list[str]:
    born = who.cn_id[6:14]
    return [who.name, who.cn_id, f"{born[:4]}-{born[4:6]}-{born[6:]}"]


def found(folder: Path, people: list[Person]) -> list[tuple[str, str]]:
    """Return every file under *folder* that names one of *people*, and how. The centre's own are left out."""
    wanted = [(text, form) for who in people for text in told_of(who) for form in forms(text)]
    hits = []
    for path in sorted(one for one in folder.rglob("*") if one.is_file() and "fhir" not in one.parts):
        held = path.read_bytes()
        hits += [(str(path.relative_to(folder)), text) for text, form in wanted if form in held]
    return hits


async def ran(*words: str | Path) -> bytes:
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tools.main", *map(str, words), stdout=subprocess.PIPE
    )
    said, _ = await done.communicate()
    assert done.returncode == 0
    return said


async def test_files_of_a_service_that_ran_name_nobody(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    home = stage.home
    (home / "tmp").mkdir()
    for name in ("TMPDIR", "SQLITE_TMPDIR"):
        monkeypatch.setenv(name, str(home / "tmp"))
    await asyncio.gather(stage.start_machines(), stage.start_fhir())
    await stage.start_gateway()
    vitals, people = Vitals(5), [person(number) for number in range(6)]
    for number in range(4):
        await visit(stage, number, vitals)
    # Scanned or typed in at the machine itself:
    await stage.machines["omron_hbp"].measure(vitals.blood_pressure(), id=people[4].cn_id)
    await stage.until(lambda: in_tray(stage), "the typed one did not arrive")
    await stage.until(lambda: delivered(stage), "the outbox did not empty", 120)
    assert (await stage.http.get("/v1/measurements", params={"resident": people[1].cn_id})).json()[
        "measurements"
    ]
    assert (await stage.http.get("/v1/measurements", params={"resident": people[0].name})).is_success
    assert found(home, people) == []

    config = home / "gateway.toml"
    await ran("journal", "backup", home / "backup.db", "--config", config)
    (home / "facts.jsonl").write_bytes(await ran("journal", "export", "--config", config))
    await ran("journal", "rotate-key", "--config", config)
    exported = await ran("journal", "export", "--measurements", "--config", config)
    assert people[0].name.encode() in exported  # whoever holds the key may
    opened = await stage.post(
        "/v1/exams",
        {
            "resident": {
                "identifiers": [{"system": "cn-id", "value": people[5].cn_id}],
                "name": people[5].name,
            },
            "operator": "test",
        },
    )
    wal = home / "state" / "journal.db-wal"
    assert wal.stat().st_size > 0
    assert found(home, people) == []

    assert stage.gateway is not None
    stage.gateway.send_signal(signal.SIGABRT)
    await stage.gateway.wait()
    assert not any(one.name.startswith("core") for one in (*home.rglob("*"), *Path.cwd().iterdir()))
    assert wal.stat().st_size > 0
    assert found(home, people) == []

    await asyncio.gather(*(restarted(stage, name) for name in stage.machines))
    await stage.start_gateway()
    again = await stage.get(f"/v1/exams/{opened['id']}")
    assert again["resident"]["name"] == people[5].name
    await stage.stop_gateway()
    assert found(home, people) == []
    modes = {path.name: path.stat().st_mode & 0o777 for path in (home / "state").iterdir()}
    assert set(modes.values()) == {0o600}, modes
    assert (home / "state").stat().st_mode & 0o777 == 0o700
    key = home / "state-key" / "key"
    assert (key.stat().st_mode & 0o777, key.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert list((home / "tmp").iterdir()) == []


async def in_tray(stage: Stage) -> bool:
    """Say whether a measurement of nobody is there, whose frame comes back as it was."""
    rows = (await stage.get("/v1/measurements", status="preliminary"))["measurements"]
    for row in rows:
        evidence = await stage.get(f"/v1/measurements/{row['id']}/evidence")
        if person(4).cn_id.encode() in bytes.fromhex("".join(evidence["frames"])):
            return True
    return False


async def restarted(stage: Stage, name: str) -> None:
    """Plug a machine in again after the gateway went away without a word."""
    await stage.machines[name].replug()


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    """In every form it looks for: else finding nothing would mean nothing."""
    who = person(2)
    for number, text in enumerate(told_of(who)):
        for turn, form in enumerate(sorted(forms(text))):
            (tmp_path / "deep").mkdir(exist_ok=True)
            path = tmp_path / "deep" / f"{number}-{turn}"
            path.write_bytes(b"\x00\x01" + form + b"\xff")
            assert (f"deep/{path.name}", text) in found(tmp_path, [who])
            path.unlink()
    assert found(tmp_path, [who]) == []
