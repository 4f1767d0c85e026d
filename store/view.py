"""What a command can look up of the journal as it stands, its own facts included."""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

from store import rows
from store.exams import Exam
from store.facts import Fact, Measurement, Value
from store.projections import likeness

SIMILAR = 10
"""How many earlier measurements with equal values are looked at."""


class View(ABC):
    """The searches of a transaction; valid only inside its command, on the writer's thread."""

    _connection: sqlite3.Connection

    @abstractmethod
    def measurement(self, key: str) -> Measurement | None:
        """Return a measurement as it stands, this command's own facts included."""

    @abstractmethod
    def _settle_all(self) -> None:
        """Write the rows of what this command changed so far, so that a search finds it."""

    def by_record(self, device: str, serial: str | None, driver: str, record: str) -> Measurement | None:
        """Return the measurement a machine's record was stored as, in whatever took its place since.

        A serial number decides, on whatever port; where one of the two contacts did not learn it, the same
        device of this gateway does, provided no other machine is known to have stood there since.
        """
        found: list[tuple[str, str, str | None]] = self._connection.execute(
            "SELECT measurement, device, serial FROM records WHERE driver = ? AND record = ?",
            (driver, record),
        ).fetchall()
        here = [row for row in found if row[1] == device]
        if serial is not None:
            same_machine = self._serial(device) in {None, serial}
            fitting = [row for row in found if row[2] == serial]
            fitting = fitting or [row for row in here if row[2] is None and same_machine]
        else:
            fitting = [row for row in here if row[2] in {None, self._serial(device)}]
        return self._standing(fitting[0][0]) if fitting else None

    def _serial(self, device: str) -> str | None:
        row: tuple[str | None] | None = self._connection.execute(
            "SELECT serial FROM devices WHERE name = ?", (device,)
        ).fetchone()
        return row[0] if row else None

    def _standing(self, key: str) -> Measurement | None:
        found = self.measurement(key)
        while found is not None and found.replaced_by is not None:
            found = self.measurement(found.replaced_by)
        return found

    def exam(self, key: str) -> Exam | None:
        """Return an exam."""
        return rows.exam(self._connection, key)

    def open_exams(self) -> list[Exam]:
        """Return the open exams in the order they were opened."""
        return rows.open_exams(self._connection)

    def latest_order(self) -> int:
        """Return the `opened_seq` of the exam opened last, open or closed; 0 if there was none."""
        found: int = self._connection.execute("SELECT coalesce(max(opened_seq), 0) FROM exams").fetchone()[0]
        return found

    def pointed(self, device: str) -> str | None:
        """Return the open exam this device was pointed at."""
        row: tuple[str] | None = self._connection.execute(
            """SELECT d.pointed FROM devices AS d JOIN exams AS e ON e.id = d.pointed
               WHERE d.name = ? AND e.closed IS NULL""",
            (device,),
        ).fetchone()
        return row[0] if row else None

    def measurements_of_exam(self, exam: str) -> list[Measurement]:
        """Return the measurements bound to an exam, withdrawn ones too, in the order they were received."""
        self._settle_all()
        return self._all(rows.measurements_of_exam(self._connection, exam))

    def last_of(self, resident: str, measure: str) -> Measurement | None:
        """Return a resident's measurement received last that holds *measure* and was not withdrawn."""
        self._settle_all()
        found = self._connection.execute(
            """SELECT id FROM measurements WHERE resident = ? AND status <> 'entered-in-error'
               ORDER BY received_seq DESC""",
            (resident,),
        )
        for (key,) in found:
            one = self.measurement(key)
            if one is not None and measure in one.values:
                return one
        return None

    def similar(self, device: str, reading: str, values: Mapping[str, Value]) -> list[Measurement]:
        """Return this device's latest measurements with equal values, at most SIMILAR, newest first.

        Withdrawn ones are left out.
        """
        self._settle_all()
        wanted = dict(values)
        found = self._connection.execute(
            """SELECT id FROM measurements WHERE device = ? AND likeness = ? AND status <> 'entered-in-error'
               ORDER BY received_seq DESC LIMIT ?""",
            (device, likeness(reading, wanted), SIMILAR),
        )
        return [one for one in self._all([row[0] for row in found]) if one.values == wanted]

    def fact(self, seq: int) -> Fact | None:
        """Return one fact; None where there is none or its body was let go."""
        return rows.fact(self._connection, seq)

    def _all(self, keys: Iterable[str]) -> list[Measurement]:
        return [one for one in map(self.measurement, keys) if one is not None]
