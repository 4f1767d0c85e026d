"""The HTTP surface of CONTRACT.md: one router a file, put together in `app.py`."""

from gateway.api.app import create_app

__all__ = ["create_app"]
