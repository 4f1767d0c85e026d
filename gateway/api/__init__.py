"""The HTTP surface of CONTRACT.md: one router a file, put together in `app.py`."""
