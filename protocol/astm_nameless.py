"""Frames of ASTM E1381 with `-` for all that is not known to name nobody, as they may stand in a recording.

Kept are, by the kind of their record, the fields of E1394 that tell of the instrument and its results. A
record that runs on from the frame before does not say what it is, so nothing of it is kept. Source: sheet
serial/astm_e1381_e1394.md; numbers of fields count from 1, as there.
"""

from protocol.astm import FRAME, STX, Record
from protocol.astm_records import Delimiters, cut
from protocol.checks import sum8
from protocol.errors import MalformedValue

KEPT = {
    "H": {1, 2, 5, 12, 13, 14},
    "P": {1, 2},
    "O": {1, 2, 5, 6, 7, 8},
    "R": {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14},
    "C": {1, 2},
    "L": {1, 2, 3},
}
FILLERS = "-*#"
"""None of them is a letter or figure: what a record is, is told by whether one follows its first letter."""
DEFINITION = NUMBER = 2
"""The field that defines an H record's delimiters; in the others it is their number."""
LONGEST_NUMBER = 9
"""Ours: figures of a record's number; longer, it is something else."""


def redact(frame: bytes) -> bytes:
    """Return *frame* blanked; a sum that was right is right again, one that was wrong stays wrong.

    Records that stand without a frame, as a result keeps them, are blanked like those within one.
    """
    if len(frame) == 1:
        return frame
    if not frame.startswith(STX):
        return _text(frame)
    found = FRAME.fullmatch(frame)
    if found is None:
        return STX + b"-" * (len(frame) - 1)
    number, text, end, stated = found.groups()
    blank = _text(text)
    before, after = sum8(number + text + end), sum8(number + blank + end)
    right = f"{before:02X}".encode("ascii") == stated
    told = after if right else (after + 1) & 0xFF
    return STX + number + blank + end + f"{told:02X}".encode("ascii") + frame[found.end(4) :]


def _text(text: bytes) -> bytes:
    """Return the records of a frame blanked; an H record among them says how those behind it are cut."""
    delimiters, blank = Delimiters(), []
    for line in text.split(b"\r"):
        record, header = Record(line, (line,), 0), line.startswith(b"H") and not line[1:2].isalnum()
        try:
            delimiters = Delimiters.of(cut(record, Delimiters()).text) if header else delimiters
            blank.append(_record(record, delimiters))
        except MalformedValue:
            blank.append(b"H" + b"-" * (len(line) - 1))
    return b"\r".join(blank)


def _record(record: Record, delimiters: Delimiters) -> bytes:
    kind = "" if record.text[1:2].isalnum() else record.text[:1].decode("latin-1")
    text = cut(record, delimiters).text
    codec = "utf-8" if text.encode("utf-8") == record.text else "latin-1"
    filler = next(one for one in FILLERS if one not in {delimiters.field, delimiters.component})
    first, *fields = text.split(delimiters.field)
    if first != kind:
        kept = kind if kind in KEPT else ""
        first = kept + _filled(first[len(kept) :], filler, codec)
    blank = [first]
    for place, field in enumerate(fields, 2):
        if kind == "H" and place == DEFINITION:
            blank.append(_definition(field))
        else:
            blank.append(field if _stays(kind, place, field) else _filled(field, filler, codec))
    return delimiters.field.join(blank).encode(codec)


def _stays(kind: str, place: int, field: str) -> bool:
    return place in KEPT.get(kind, ()) and (place != NUMBER or len(field) <= LONGEST_NUMBER)


def _definition(field: str) -> str:
    """Return what an H record defines: two characters, and the first of them for all behind."""
    second = next((place for place, one in enumerate(field) if one != field[0]), len(field))
    return field[: second + 1] + field[:1] * (len(field) - second - 1)


def _filled(field: str, filler: str, codec: str) -> str:
    """Return fillers, as many bytes as *field* has."""
    return filler * len(field.encode(codec))
