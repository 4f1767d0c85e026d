"""The key file on a disk that loses its power: a key told to be there is there, and the old one before it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from store import keyring
from tests.store.journal_making import opened, visit
from tools.faults import plugfs
from tools.faults.disk import Disk, Image
from tools.faults.states import MODELS

pytestmark = pytest.mark.xdist_group("faults")
KEY = "state-key/key"


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[tuple[plugfs.Volume, Path]]:
    with plugfs.mounted(tmp_path / "mount") as plugs:
        plugs.volumes["v"] = plugfs.Volume({})
        yield plugs.volumes["v"], tmp_path / "mount/v"


def cuts(volume: plugfs.Volume, model: str) -> list[list[Image]]:
    """Return what the disk may hold if the power goes after each thing it was asked."""
    disk, found = Disk(model, {}), []
    for op in volume.log:
        disk.feed(op)
        found.append([disk.image(choice) for choice in disk.choices(range(4))])
    return found


def held(image: Image, folder: Path) -> list[bytes] | None:
    """Return the secrets that a start finds there; None where there is no key file."""
    if KEY not in image:
        return None
    path = folder / "found"
    path.write_bytes(image[KEY])
    return keyring.read(path)


@pytest.mark.parametrize("model", MODELS)
def test_a_key_that_was_made_is_there_after_a_power_cut(tmp_path, volume, model):
    secret = keyring.make(volume[1] / KEY)
    *before, after = cuts(volume[0], model)
    assert [held(image, tmp_path) for image in after] == [[secret]] * len(after)
    assert all(held(image, tmp_path) in (None, [secret]) for images in before for image in images)


def test_nothing_is_sealed_with_a_key_that_a_power_cut_can_still_take(tmp_path, volume):
    """Somebody puts the file there, or its sync failed and the process went on or ended."""
    path = volume[1] / KEY
    path.parent.mkdir(mode=0o700)
    path.write_text(f"{'5a' * 32}\n")
    journal = opened(volume[1])
    journal.submit(visit).result()
    assert [held(image, tmp_path) for image in cuts(volume[0], "posix")[-1]] == [[b"\x5a" * 32]]
    draft = path.with_name("mine")
    draft.write_text(f"{'6b' * 32}\n{'5a' * 32}\n")
    draft.rename(path)
    journal.submit(lambda tx: tx.change_key("li", "yearly")).result()
    journal.submit(lambda tx: visit(tx, "110101189102020024", "李样")).result()
    assert [held(image, tmp_path) for image in cuts(volume[0], "posix")[-1]] == [[b"\x6b" * 32, b"\x5a" * 32]]
    journal.close()


@pytest.mark.parametrize("model", MODELS)
def test_a_key_that_was_changed_is_whole_at_every_moment_and_then_the_new_one(tmp_path, volume, model):
    old = keyring.make(volume[1] / KEY)
    begun, new = len(volume[0].log), keyring.new()
    keyring.replace(volume[1] / KEY, [new, old])
    *during, after = cuts(volume[0], model)[begun:]
    assert [held(image, tmp_path) for image in after] == [[new, old]] * len(after)
    assert all(held(image, tmp_path) in ([old], [new, old]) for images in during for image in images)
