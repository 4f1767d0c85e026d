"""The outbox in words: what reached the central record, since when not, what it refused and why."""

from gateway import messages
from gateway.service import Reach
from gateway.web.cards import source
from gateway.web.language import mark
from gateway.web.views import PARKED_LIMIT, Views
from gateway.web.words import KINDS, clock_time, span
from store.outbox import Counts


def outbox(views: Views) -> dict[str, object]:
    """Return every forwarder's state, and what it refused, newest first."""
    rows = [
        {"name": name, **_state(views, name, count)} for name, count in views.queries.outbox_counts().items()
    ]
    return {"rows": rows, "parked": _parked(views), "operator": views.operator}


def bar(views: Views) -> dict[str, object]:
    """Return the line under every page: why nothing is taken, what was sent, how many lie in the tray."""
    counts = views.queries.outbox_counts()
    kept = views.language.say(mark("No central record is configured. Everything is kept here."))
    states = [_state(views, name, count) for name, count in counts.items()]
    waiting = views.queries.counts().tray
    return {
        "faults": [messages.text(code, views.language.tag) for code in views.faults],
        "outbox": states or [{"tone": "off", "shape": "○", "state": kept}],
        "tray": views.language.count("{n} not assigned", "{n} not assigned", waiting) if waiting else "",
    }


def _state(views: Views, name: str, count: Counts) -> dict[str, object]:
    say, many = views.language.say, views.language.count
    reach = views.reach.get(name, Reach())
    facts = [many("{n} sent", "{n} sent", count.delivered)]
    if count.waiting:
        facts.append(many("{n} waiting, kept here", "{n} waiting, kept here", count.waiting))
    if count.parked:
        facts.append(many("{n} refused", "{n} refused", count.parked))
    if reach.state == "unreachable" and reach.since:
        waited = (views.now - reach.since).total_seconds()
        fields = {
            "time": clock_time(reach.since, views.zone, views.now),
            "span": span(views.language, waited),
        }
        word = say(
            mark("Central record not reached since {time} ({span}). Kept here, sent by itself later."),
            **fields,
        )
        return {"tone": "off", "shape": "○", "state": word, "facts": facts}
    if count.parked:
        refused = many("{n} refused: see Sending", "{n} refused: see Sending", count.parked)
        return {"tone": "check", "shape": "!", "state": refused, "facts": facts}
    word = (
        say(mark("Sending now")) if count.waiting else say(mark("Everything has reached the central record"))
    )
    return {"tone": "ok", "shape": "●", "state": word, "facts": facts}


def _parked(views: Views) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for delivery in views.queries.deliveries("parked", PARKED_LIMIT):
        one = views.queries.measurement(delivery.measurement)
        if one is not None:
            rows.append(
                {
                    "id": one.id,
                    "forwarder": delivery.forwarder,
                    "title": views.language.say(KINDS.get(one.kind, one.kind)),
                    "source": source(views.scene, one),
                    "reason": delivery.reason or "",
                }
            )
    return rows
