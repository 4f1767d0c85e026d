"""What a disk may hold after the power went: crash states made from the log of what a file system was asked.

Everything covered by a completed fsync is there; of the rest, any part may be. Two models of names:
`posix`, in which a name is durable only after fsync of its folder, and `ext4`, in which every completed fsync
also commits all earlier changes of names.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

SECTOR = 512
"""Bytes that a disk writes whole or not at all; the one thing besides fsync that is believed."""
Model = Literal["posix", "ext4"]
Image = Mapping[str, bytes]
"""Files by path from the volume's root, as they lie on the disk."""


class Write(NamedTuple):
    """Bytes of a file."""

    ino: int
    at: int
    data: bytes


class Truncate(NamedTuple):
    """A file's new size."""

    ino: int
    size: int


class Named(NamedTuple):
    """A file or folder got this name, and lost `old` where it had that before."""

    path: str
    ino: int
    old: str | None = None
    folder: bool = False


class Unnamed(NamedTuple):
    """A name was taken away."""

    path: str
    ino: int


class Sync(NamedTuple):
    """An fsync of a file was completed."""

    ino: int


class Forgotten(NamedTuple):
    """An fsync of a file failed: its program still reads what it wrote, but the disk will never get it."""

    ino: int


class SyncFolder(NamedTuple):
    """An fsync of a folder was completed."""

    path: str


class Note(NamedTuple):
    """Nothing the disk knows of: somebody outside was told something at this moment."""

    key: int


Op = Write | Truncate | Named | Unnamed | Sync | Forgotten | SyncFolder | Note
Pending = Write | Truncate | Named | Unnamed


class Choice(NamedTuple):
    """One crash state: how it was chosen and which of what was pending reached the disk, in which order."""

    variant: str
    arrived: tuple[Pending, ...]


def parent(path: str) -> str:
    """Return the folder a path lies in; the volume's root is the empty path."""
    return path.rpartition("/")[0]


def numbered(image: Image) -> dict[str, int]:
    """Return the inode, from 2 on, of every file of an image and of every folder above one, folders first."""
    numbers: dict[str, int] = {}
    for path in sorted(image):
        steps = path.split("/")
        for depth in range(1, len(steps) + 1):
            numbers.setdefault("/".join(steps[:depth]), len(numbers) + 2)
    return numbers


class Disk:
    """Walks a log once; at any point it can say what the disk may hold if the power goes there."""

    def __init__(self, model: Model, image: Image) -> None:
        self._model = model
        self.files: dict[int, bytearray] = {}
        self.names: dict[str, int] = {}
        self.pending: list[Pending] = []
        self._folders: set[int] = set()
        self.turn = 0
        """Rises whenever what is durable changes: with equal turns an equal choice is an equal state."""
        for path, ino in numbered(image).items():
            self.names[path] = ino
            if path in image:
                self.files[ino] = bytearray(image[path])
            else:
                self._folders.add(ino)

    def feed(self, op: Op) -> None:
        """Take the next thing that the file system was asked."""
        match op:
            case Sync(ino):
                self._settle([one for one in self.pending if self._synced(one, ino)])
            case Forgotten(ino):
                self.pending = [one for one in self.pending if not isinstance(one, Write) or one.ino != ino]
            case SyncFolder(path):
                self._settle([one for one in self.pending if self._committed(one, path)])
            case Note():
                pass
            case Write() | Truncate() | Named() | Unnamed():
                self.pending.append(op)
                if isinstance(op, Named) and op.folder:
                    self._folders.add(op.ino)

    def _synced(self, one: Pending, ino: int) -> bool:
        if isinstance(one, Write | Truncate):
            return one.ino == ino
        return self._model == "ext4"

    def _committed(self, one: Pending, folder: str) -> bool:
        if isinstance(one, Write | Truncate):
            return False
        return self._model == "ext4" or parent(one.path) == folder

    def _settle(self, done: Sequence[Pending]) -> None:
        if not done:
            return
        self.turn += 1
        settled = {id(one) for one in done}
        self.pending = [one for one in self.pending if id(one) not in settled]
        for one in done:
            _apply(self.files, self.names, one)

    def choices(self, coins: Sequence[int]) -> Iterator[Choice]:
        """Yield the crash states looked at here: nothing, all, the newest half, the newest torn, and by lot.

        `all` is what kill -9 leaves. *coins* seed one state each in which every sector and every change of
        a name arrived or did not, in order.
        """
        yield Choice("drop", ())
        if not self.pending:
            return
        yield Choice("all", tuple(self.pending))
        yield Choice("late", tuple(self.pending[len(self.pending) // 2 :]))
        yield Choice("torn", tuple(self._torn(random.Random(coins[0] if coins else 0))))  # noqa: S311
        for coin in coins:
            yield Choice("random", tuple(self._by_lot(random.Random(coin))))  # noqa: S311

    def _torn(self, chance: random.Random) -> list[Pending]:
        """Return all that is pending, the newest write cut off at the end of one of its sectors."""
        chosen = list(self.pending)
        for number in range(len(chosen) - 1, -1, -1):
            one = chosen[number]
            if isinstance(one, Write):
                whole = -(-len(one.data) // SECTOR)
                chosen[number] = one._replace(data=one.data[: chance.randrange(whole + 1) * SECTOR])
                break
        return chosen

    def _by_lot(self, chance: random.Random) -> Iterator[Pending]:
        share = chance.choice((0.1, 0.5, 0.9))
        for one in self.pending:
            if not isinstance(one, Write):
                if chance.random() < share:
                    yield one
                continue
            for begin, end in _sectors(one):
                if chance.random() < share:
                    yield Write(one.ino, one.at + begin, one.data[begin:end])

    def image(self, choice: Choice) -> dict[str, bytes]:
        """Return the files of a crash state; one whose folder did not arrive is not there."""
        files: dict[int, bytearray] = {}
        names = dict(self.names)
        for one in choice.arrived:
            if isinstance(one, Write | Truncate) and one.ino not in files:
                files[one.ino] = bytearray(self.files.get(one.ino, b""))
            _apply(files, names, one)
        return {
            path: bytes(files.get(ino, self.files.get(ino, b"")))
            for path, ino in names.items()
            if ino not in self._folders and _reachable(path, names)
        }


def _reachable(path: str, names: Mapping[str, int]) -> bool:
    folder = parent(path)
    return not folder or (folder in names and _reachable(folder, names))


def _sectors(one: Write) -> Iterator[tuple[int, int]]:
    begin = 0
    while begin < len(one.data):
        end = min(len(one.data), begin + SECTOR - (one.at + begin) % SECTOR)
        yield begin, end
        begin = end


def _apply(files: dict[int, bytearray], names: dict[str, int], one: Pending) -> None:
    match one:
        case Write(ino, at, data):
            held = files.setdefault(ino, bytearray())
            held.extend(bytes(max(0, at - len(held))))
            held[at : at + len(data)] = data
        case Truncate(ino, size):
            held = files.setdefault(ino, bytearray())
            del held[size:]
            held.extend(bytes(size - len(held)))
        case Named(path, ino, old):
            if old is not None and names.get(old) == ino:
                del names[old]
            names[path] = ino
        case Unnamed(path, ino):
            if names.get(path) == ino:
                del names[path]
