"""The place a journal lies in, as its writer meets it: what is told of each write, who is asked for room."""

from pathlib import Path

from protocol.errors import StoreError


class Room:
    """A place without a reserve, where nobody listens; all is called on the writer's thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def must_be_there(self) -> None:
        """Raise StoreError `store.moved` where what is written would go nowhere; asked before COMMIT."""

    def relieve(self) -> bool:
        """Make room, for the disk is full; False where no more can be made."""
        return False

    def wrote(self) -> None:
        """Something was made durable."""

    def failed(self, error: StoreError) -> None:
        """A commit failed: nothing of it was done."""
