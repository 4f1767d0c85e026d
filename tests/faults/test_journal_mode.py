"""A journal whose file could not be made one with a WAL is not written in another way without a word."""

import errno
from pathlib import Path

import mfusepy
import pytest

from protocol.errors import StoreError
from tests.store.journal_making import final, opened, visit
from tools.faults import plugfs
from tools.faults.disk import Named

pytestmark = pytest.mark.xdist_group("faults")


class Stubborn(plugfs.Volume):
    """A disk that once does not take away a rollback journal's name."""

    refused = False

    def remove(self, path: str) -> None:
        if path.endswith("-journal") and not self.refused:
            self.refused = True
            raise mfusepy.FuseOSError(errno.EROFS)
        super().remove(path)


def test_a_change_to_a_wal_that_fails_is_made_again_or_told(tmp_path: Path) -> None:
    with plugfs.mounted(tmp_path / "mount") as plugs:
        plugs.volumes["v"] = volume = Stubborn({})
        try:
            journal = opened(tmp_path / "mount/v")
        except StoreError:
            journal = opened(tmp_path / "mount/v")
        assert volume.refused
        before = len(volume.log)
        journal.submit(lambda tx: final(tx, visit(tx))).result()
        made = [one.path for one in volume.log[before:] if isinstance(one, Named)]
        assert not [path for path in made if path.endswith("-journal")]
        journal.close()
