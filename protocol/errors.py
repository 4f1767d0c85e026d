"""Every error raised on purpose: the whole tree, each with a code and a place for its detail.

The words a person reads for a code (what happened, whether the data are safe, what to do now)
are in `gateway/messages.py`; a test holds the two together.
"""


class GatewayError(Exception):
    """Base of every error this project raises on purpose; `code` names the text a person sees."""

    code = "gateway.failed"

    def __init__(self, detail: str = "", *, code: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}" if self.detail else self.code


class ConfigError(GatewayError):
    """The configuration cannot be used; the start stops and the key is named."""

    code = "config.invalid"


class LinkError(GatewayError):
    """The way to a device is not there now; trying again may help."""

    code = "link.failed"


class Unavailable(LinkError):
    """The port is not there or may not be opened."""

    code = "link.unavailable"


class Busy(LinkError):
    """Another program holds the port."""

    code = "link.busy"


class Lost(LinkError):
    """The link was open and is gone: cable pulled, adapter reset, device switched off."""

    code = "link.lost"


class ProtocolError(GatewayError):
    """This conversation is over; the bytes are kept as noise and a new one may begin."""

    code = "device.protocol"


class NoAnswer(ProtocolError):
    """The device stayed silent past the deadline of a question."""

    code = "device.no_answer"


class UnexpectedReply(ProtocolError):
    """A whole, checked frame arrived, but not the one the question asks for."""

    code = "device.unexpected_reply"


class MalformedValue(ProtocolError):
    """A whole, checked frame whose content its protocol does not allow; nothing was read from it."""

    code = "device.malformed"


class StoreError(GatewayError):
    """The journal cannot take more; readings must stop, loudly."""

    code = "store.failed"


class DiskFull(StoreError):
    """No room left to write."""

    code = "store.disk_full"


class JournalDamaged(StoreError):
    """The journal is not what was written, or cannot promise durability."""

    code = "store.damaged"


class JournalHeld(StoreError):
    """Another process already writes this journal."""

    code = "store.held"


class SchemaTooNew(StoreError):
    """A newer release wrote this journal; this one must not touch it."""

    code = "store.schema_too_new"


class DeliveryError(GatewayError):
    """A measurement did not reach the other side."""

    code = "delivery.failed"


class Unreachable(DeliveryError):
    """No usable answer: network, server down, throttled. Transient; `retry_after` is in seconds if told."""

    code = "delivery.unreachable"

    def __init__(self, detail: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Refused(DeliveryError):
    """The other side answered and said no; after a bounded number of tries it is shown to a person."""

    code = "delivery.refused"


class RequestRefused(GatewayError):
    """A person's or a program's request that cannot be followed; nothing was changed."""

    code = "request.refused"
