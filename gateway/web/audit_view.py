"""Who did what, newest first, as a plain table for whoever is in charge; residents by key, or masked."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from urllib.parse import urlencode

from gateway.web.language import mark
from gateway.web.views import Views
from gateway.web.words import clock_time, masked_name
from store.audit import Entry, Wanted

ROWS = 50
WHATS = {
    "opened": mark("opened an exam"),
    "closed": mark("finished an exam"),
    "skipped": mark("skipped an examination"),
    "pointed": mark("pointed a machine at somebody"),
    "ordered": mark("gave a machine an order"),
    "described": mark("wrote down a machine's details"),
    "typed": mark("typed a value in"),
    "bound": mark("assigned a measurement"),
    "unbound": mark("sent a measurement back to the tray"),
    "corrected": mark("corrected a value"),
    "voided": mark("withdrew a measurement"),
    "resent": mark("sent it again"),
    "erased": mark("erased a name"),
    "key_changed": mark("changed the key to names"),
    "read": mark("looked at measurements"),
    "listed": mark("listed the exams"),
    "searched": mark("searched by a number"),
    "pulled": mark("took measurements, page by page"),
    "exported": mark("exported the journal"),
    "backed_up": mark("made a backup"),
    "restored": mark("restored a backup"),
    "bundled": mark("made a diagnostics bundle"),
    "audit_read": mark("looked at this record"),
    "configured": mark("changed the settings"),
    "pruned": mark("old details were let go"),
    "recovered": mark("a damaged file was recovered"),
    "missed": mark("some could not be written down"),
    "unreadable": mark("a note could not be read"),
}
"""What somebody did, in words."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What the table is asked for; empty: all. `resident` is a key of ours, `before` a cursor."""

    who: str = ""
    what: str = ""
    resident: str = ""
    since: date | None = None
    until: date | None = None
    names: bool = False
    before: str = ""

    def query(self, **changes: str) -> str:
        """Return it as a page's query, without the cursor unless one is given."""
        asked = {
            "who": self.who,
            "what": self.what,
            "resident": self.resident,
            "since": str(self.since or ""),
            "until": str(self.until or ""),
            "names": "yes" if self.names else "",
            **changes,
        }
        return urlencode({name: text for name, text in asked.items() if text})


def audit(views: Views, wanted: Filter) -> dict[str, object]:
    """Return a page of entries, newest first; both days are included."""
    since = _midnight(views, wanted.since)
    until = _midnight(views, wanted.until + timedelta(days=1) if wanted.until else None)
    which = Wanted(wanted.who or None, wanted.what or None, since=since, until=until)
    entries, cursor, more = views.queries.audit(
        which, wanted.before or None, ROWS, resident=wanted.resident or None, newest=True
    )
    return {
        "rows": [_row(views, wanted, entry) for entry in entries],
        "asked": wanted,
        "whats": {what: views.language.say(word) for what, word in WHATS.items()},
        "older": wanted.query(before=cursor) if more else "",
    }


def _midnight(views: Views, day: date | None) -> datetime | None:
    return datetime(day.year, day.month, day.day, tzinfo=views.zone) if day else None


def _row(views: Views, wanted: Filter, entry: Entry) -> dict[str, object]:
    person = views.queries.resident(entry.resident) if wanted.names and entry.resident else None
    name = masked_name(person.name) if person else ""
    word = WHATS.get(entry.what)
    told = [entry.reason, *(f"{key}: {text}" for key, text in entry.detail.items() if key != "settings")]
    return {
        "at": clock_time(entry.at.utc, views.zone, views.now),
        "who": entry.who,
        "what": views.language.say(word) if word else entry.what,
        "subject": entry.subject,
        "resident": entry.resident or "",
        "name": name,
        "of_resident": wanted.query(resident=entry.resident) if entry.resident else "",
        "told": " · ".join(one for one in told if one),
    }
