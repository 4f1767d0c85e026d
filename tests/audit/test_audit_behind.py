"""What commands did while the service stood still is written down, however often that fails at first."""

import asyncio
import fcntl
import os
from pathlib import Path

import pytest

from gateway import pending
from gateway.audit import Audit
from gateway.clock import Clock
from gateway.config import Config
from store.audit import Wanted
from store.facts import Audited
from store.journal import Journal
from tests.store.journal_making import opened

TOLD = Audited("command:li", "exported", "journal")


def entries(journal: Journal) -> list[str]:
    return [one.what for one in journal.queries.audit(Wanted())[0] if one.what in {"exported", "configured"}]


@pytest.mark.parametrize("trouble", ["a command writes", "it cannot be read"])
async def test_what_could_not_be_taken_over_at_the_start_is_taken_over_later(tmp_path: Path, trouble) -> None:
    state = tmp_path / "state"
    journal = opened(tmp_path)
    pending.keep(state, TOLD)
    file = state / pending.NAME
    held = os.open(file, os.O_RDONLY)
    aside = file.with_name("aside")
    if trouble == "a command writes":
        fcntl.flock(held, fcntl.LOCK_EX)
    else:
        file.rename(aside)
        file.mkdir()
    audit = Audit(journal, Clock().now)
    beginning = asyncio.create_task(audit.begin(Config(gateway="gw-1", state=state), "1", every_s=0.01))
    while audit.fault() is None:
        await asyncio.sleep(0.005)
        assert not beginning.done(), "it gave up"
    assert audit.fault() == "audit.waiting"
    if trouble == "a command writes":
        fcntl.flock(held, fcntl.LOCK_UN)
    else:
        file.rmdir()
        aside.rename(file)
    os.close(held)
    await asyncio.wait_for(beginning, 30)
    await audit.noted(Audited("doctor", "read", "exam"))
    assert entries(journal) == ["exported", "configured"]
    assert audit.fault() is None
    assert not file.exists()
    journal.close()
