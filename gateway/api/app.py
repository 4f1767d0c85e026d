"""The web application: every router, the door in front of them, and the errors' one form."""

from importlib import metadata
from pathlib import Path

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from gateway.api import audit, devices, exams, fhir, health, measurements, metrics, outbox, problems
from gateway.api.context import Context
from gateway.api.guard import Guard
from gateway.web import audit_page, events, forms, pages
from protocol.errors import GatewayError

STATIC = Path(pages.__file__).parent / "static"


def create_app(context: Context) -> FastAPI:
    """Return the application over a running gateway and its store."""
    app = FastAPI(
        title="Checkup gateway",
        version=metadata.version("checkup-gateway"),
        docs_url=None,
        redoc_url=None,
        exception_handlers={
            GatewayError: problems.on_gateway_error,
            HTTPException: problems.on_http_error,
            RequestValidationError: problems.on_invalid,
        },
    )
    app.state.context = context
    shown = (measurements, exams, devices, outbox, audit, fhir, health, metrics, problems)
    routers = (*shown, events, pages, audit_page, forms)
    for part in routers:
        app.include_router(part.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_middleware(Guard, http=context.config.http)
    return app
