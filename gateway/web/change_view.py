"""The page on which a person corrects a measurement's values, or assigns it to somebody else."""

from collections.abc import Mapping

from gateway.web.cards import measured, source
from gateway.web.views import Views
from gateway.web.words import KINDS, MEASURES, listed, unit
from protocol.readings import Measure
from store.facts import VERIFIED

TRAY = "-"
"""Chosen instead of a person: back to the tray."""


def change(views: Views, wanted: str | None, typed: Mapping[str, str] | None = None) -> dict[str, object]:
    """Return a measurement's values in a form, *typed* over them; `one` is None where none can be changed."""
    one = views.queries.measurement(wanted) if wanted else None
    exam = views.queries.exam(one.exam) if one is not None and one.exam else None
    if one is None or exam is None or one.status not in VERIFIED:
        return {"one": None}
    given, say = typed or {}, views.language.say
    rows = [
        {
            "measure": name,
            "label": say(MEASURES.get(name, name)),
            "value": given.get(name, value.value),
            "unit": unit(views.language, value.unit),
        }
        for name, value in one.values.items()
        if name != Measure.BMI
    ]
    others = [about for about in views.open_exams() if about["id"] != exam.id]
    return {
        "shows": exam,
        "one": {"id": one.id, "exam": exam.id, "title": say(KINDS.get(one.kind, one.kind))},
        "source": source(views.scene, one),
        "was": measured(views.language, one),
        "now": listed(views.language, one.values),
        "rows": rows,
        "others": others,
        "reason": given.get("reason", ""),
        "operator": views.operator,
    }
