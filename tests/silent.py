"""A driver alone: the device says nothing at all."""

from drivers.catalogue import Driver
from drivers.dialogue import Send
from protocol.errors import NoAnswer


def asked_in_silence(driver: Driver) -> list[bytes]:
    """Return what *driver* sends before it says that nobody answers; AssertionError where it never does."""
    dialogue = driver.talk(driver.settings)
    sent: list[bytes] = []
    try:
        for _ in range(1000):
            step = dialogue.send(None)
            if isinstance(step, Send):
                sent.append(step.data)
    except NoAnswer:
        return sent
    raise AssertionError("it never noticed")
