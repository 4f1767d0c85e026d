"""What has reached the other side, what waits, and what it refused; a person may send that again."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool

from gateway.api.context import Asked, Here, Id, Line, Operator
from gateway.service import Reach
from store.queries import Queries

router = APIRouter(prefix="/v1/outbox", tags=["outbox"])


class Resending(Asked):
    """Send one parked delivery again."""

    forwarder: Line
    measurement: Id
    operator: Operator


@router.get("", response_class=Response, responses={200: {"content": {"application/json": {}}}})
async def outbox(
    here: Here,
    state: Literal["waiting", "parked"] = "parked",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Return the counts of every forwarder and the deliveries in one state."""
    body = await run_in_threadpool(_listed, here.queries, here.service.reach(), state, limit)
    return Response(body, media_type="application/json")


def _listed(
    queries: Queries, reach: Mapping[str, Reach], state: Literal["waiting", "parked"], limit: int
) -> bytes:
    forwarders = {
        name: {"reach": reach.get(name, Reach()), **msgspec.structs.asdict(counts)}
        for name, counts in queries.outbox_counts().items()
    }
    return msgspec.json.encode({"forwarders": forwarders, "deliveries": queries.deliveries(state, limit)})


@router.post("/resend", status_code=202)
async def resend(here: Here, asked: Resending) -> dict[str, Any]:
    """Send a parked delivery again; returns what now waits."""
    await here.service.resend(asked.forwarder, asked.measurement, asked.operator)
    return {"forwarder": asked.forwarder, "measurement": asked.measurement, "state": "waiting"}
