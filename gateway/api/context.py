"""What every endpoint may reach: the running gateway, the store's read side, the configuration."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Path, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from gateway.audit import a_person
from gateway.config import Config
from gateway.service import Service
from store.queries import Queries

Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""One line a person typed: not empty, no control characters."""


def _signed(name: str) -> str:
    if not a_person(name):
        raise ValueError("nobody signs as what is no person")
    return name


Operator = Annotated[Line, AfterValidator(_signed)]
"""Who signs for what is asked."""
Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500, pattern=r"^[^\x00]*$")]
"""A reason in a person's words; may be empty, the gateway says where it must not be."""
Id = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
PathId = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]


class Asked(BaseModel):
    """Base of every request body: an unknown key is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def nothing_wrong() -> Sequence[str]:
    """Return no fault."""
    return ()


@dataclass(frozen=True, slots=True)
class Context:
    """Everything an endpoint may reach.

    `faults` names, as codes, why the gateway cannot take readings now; empty while it can.
    `notes` names, as codes too, what a person should know although readings are taken.
    Set `closing` when the server is told to stop: open event streams then end by themselves.
    """

    service: Service
    queries: Queries
    config: Config
    faults: Callable[[], Sequence[str]] = nothing_wrong
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    notes: Callable[[], Sequence[str]] = nothing_wrong


async def context(request: Request) -> Context:
    """Return the application's context."""
    found: Context = request.app.state.context
    return found


Here = Annotated[Context, Depends(context)]
