"""For every test: hypothesis is never judged by the clock, and Ctrl+C works in what tests start."""

import signal

from hypothesis import settings

settings.register_profile("project", deadline=None)
settings.load_profile("project")
# A test run in the background of a shell has SIGINT ignored, and every program it starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
