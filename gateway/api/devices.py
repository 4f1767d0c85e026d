"""The machines' state, and the two things a person may ask of one: an order, and whom it measures now."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from gateway.api.context import Asked, Context, Here, Id, Line, PathId
from protocol.errors import RequestRefused

router = APIRouter(prefix="/v1/devices", tags=["devices"])


class Ordering(Asked):
    """A person's order; the only way anything is started on a device."""

    order: Line
    arguments: Annotated[dict[Line, Line], Field(default_factory=dict, max_length=16)]
    operator: Line


class Pointing(Asked):
    """Whose measurements this device takes now; no exam means nobody in particular."""

    exam: Id | None
    operator: Line


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
