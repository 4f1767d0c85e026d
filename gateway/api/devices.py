"""The machines' state, and the two things a person may ask of one: an order, and whom it measures now."""

from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from gateway import wear
from gateway.api.context import Asked, Context, Here, Id, Line, Operator, PathId
from protocol.errors import RequestRefused

router = APIRouter(prefix="/v1/devices", tags=["devices"])


class Ordering(Asked):
    """A person's order; the only way anything is started on a device."""

    order: Line
    arguments: Annotated[dict[Line, Line], Field(default_factory=dict, max_length=16)]
    operator: Operator


class Pointing(Asked):
    """Whose measurements this device takes now; no exam means nobody in particular."""

    exam: Id | None
    operator: Operator


class Passport(Asked):
    """What a technician writes down about a machine; a field left out stays as it was."""

    maker: Line | None = None
    model: Line | None = None
    serial: Line | None = None
    made_on: date | None = None
    calibrated_on: date | None = None
    calibration_due: date | None = None
    paired_by: Line | None = None
    paired_on: date | None = None
    operator: Operator


@router.get("")
async def devices(here: Here) -> dict[str, list[dict[str, Any]]]:
    """Return every configured device in configuration order."""
    return {"devices": [asdict(state) for state in here.service.devices()]}


def state_of(here: Context, name: str) -> dict[str, Any]:
    """Return one device's state; raises RequestRefused `device.unknown`."""
    for state in here.service.devices():
        if state.name == name:
            return asdict(state)
    raise RequestRefused(name, code="device.unknown")


@router.post("/{name}/order")
async def order(here: Here, name: PathId, asked: Ordering) -> dict[str, Any]:
    """Give the device an order; returns its state."""
    await here.service.order(name, asked.order, asked.arguments, asked.operator)
    return state_of(here, name)


@router.post("/{name}/point")
async def point(here: Here, name: PathId, asked: Pointing) -> dict[str, Any]:
    """Let the device measure one exam's person; returns its state."""
    await here.service.point(name, asked.exam, asked.operator)
    return state_of(here, name)


@router.get("/{name}/history")
async def history(here: Here, name: PathId) -> dict[str, Any]:
    """Return the device's passport, what its days say about it in codes with evidence, and the days."""
    state_of(here, name)
    return await run_in_threadpool(_history, here, name)


def _history(here: Context, name: str) -> dict[str, Any]:
    days, passport = here.queries.device_days(name), here.queries.passport(name)
    found = wear.signs(days, passport, datetime.now(UTC).date())
    return {
        "device": name,
        "passport": passport,
        "signs": [asdict(sign) for sign in found],
        "days": [msgspec.to_builtins(day) for day in days],
    }


@router.post("/{name}/passport")
async def passport(here: Here, name: PathId, asked: Passport) -> dict[str, Any]:
    """Write down what is known of the machine; returns its history."""
    written = asked.model_dump(mode="json", exclude={"operator"}, exclude_none=True)
    await here.service.passport(name, written, asked.operator)
    return await run_in_threadpool(_history, here, name)
