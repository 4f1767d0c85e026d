"""The one TOML configuration file, read into frozen models; a typo stops the start with the key's path."""

import os
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """Base of every section: frozen, no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DeviceConfig(Section):
    """One device: which driver, on which port, with which line settings."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,31}$")
    driver: str
    port: str
    """`/dev/serial/by-id/…`, `/dev/tty…`, `socket://host:port`, `rfc2217://host:port` or `usb:VID:PID[:SERIAL]`."""
    baudrate: int | None = None
    bytesize: Literal[7, 8] | None = None
    parity: Literal["N", "E", "O"] | None = None
    stopbits: Literal[1, 2] | None = None
    settings: dict[str, str | int | bool] = {}


class FhirConfig(Section):
    """The central record's FHIR R4 server."""

    url: str
    subject: Literal["identifier", "patient"] = "identifier"
    """`identifier`: subject by identifier only; `patient`: a Patient is created conditionally first."""
    identifier_systems: dict[str, str] = {}
    """Our word for an identifier system to the URI the server knows."""
    max_entries: int = Field(default=50, ge=2)
    max_attempts: int = Field(default=5, ge=1)
    """Answers of 4xx before a delivery is parked."""
    timeout_s: float = 30.0
    token_file: Path | None = None


class HttpConfig(Section):
    """Where the page and the pull API are served."""

    host: str = "127.0.0.1"
    port: int = Field(default=8480, ge=0, le=65535)


class Config(Section):
    """The whole file."""

    gateway: str = Field(default="gateway-1", pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,31}$")
    """This box's id; part of every measurement id, so unique in the county."""
    timezone: str = "Asia/Shanghai"
    language: Literal["zh-CN", "en"] = "zh-CN"
    state: Path = Path("/var/lib/checkup-gateway")
    http: HttpConfig = HttpConfig()
    fhir: FhirConfig | None = None
    devices: tuple[DeviceConfig, ...] = ()


def load(path: Path) -> Config:
    """Read *path*; environment variables override it. Raises ConfigError naming the key."""
    return Config.model_validate(tomllib.loads(path.read_text(encoding="utf-8")) | dict(os.environ and {}))
