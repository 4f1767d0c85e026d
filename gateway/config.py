"""The one TOML configuration file, read into frozen models; a typo stops the start with the key's path.

Environment variables `CHECKUP_GATEWAY_…` (`__` between section and key) override the file, the file overrides
the defaults below. Secrets never stand in it: a key ending in `_file` names the file that holds one.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from drivers import catalogue
from gateway import config_faults
from protocol.errors import ConfigError

DEFAULT_PATH = Path("/etc/checkup-gateway/gateway.toml")
PREFIX = "CHECKUP_GATEWAY_"
PATH_VARIABLE = PREFIX + "CONFIG"
_ADDRESS = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")
_PORT = re.compile(
    r"/.+|(socket|rfc2217)://[^/\s:]+:\d{1,5}([/?].*)?|usb:[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}(:.+)?"
    rf"|ble:{_ADDRESS.pattern}"
)


def _port(port: str) -> str:
    if not _PORT.fullmatch(port):
        raise PydanticCustomError(
            "port",
            "a port is a path from /, socket://host:port, rfc2217://host:port, usb:VID:PID[:SERIAL] or "
            "ble:AA:BB:CC:DD:EE:FF",
        )
    kind, colon, address = port.partition(":")
    return f"{kind}{colon}{address.upper()}" if kind == "ble" else port


def _address(address: str) -> str:
    if not _ADDRESS.fullmatch(address):
        raise PydanticCustomError("address", "a Bluetooth address is AA:BB:CC:DD:EE:FF")
    return address.upper()


def _adapter(named: str) -> str:
    return named if re.fullmatch(r"hci\d+", named) else _address(named)


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # a path, a folder's name, an unknown name
        raise PydanticCustomError(
            "timezone", "not a time zone of the IANA list, such as Asia/Shanghai"
        ) from None
    return name


def _web_address(url: str) -> str:
    if not re.fullmatch(r"https?://[^/\s@]+(/[^\s?#]*)?", url):
        raise PydanticCustomError(
            "url", "an address is http:// or https://, a host name and a path; no user, password or query"
        )
    return url.rstrip("/")


class Section(BaseModel):
    """Base of every section: frozen, no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DeviceConfig(Section):
    """One device: which driver, on which port, with which line settings."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,31}$",
        description="Short name, unique on this box, shown beside every value: a-z, 0-9, and . _ - inside.",
    )
    driver: str = Field(description="Name of the driver: `checkup-gateway drivers` lists them.")
    port: Annotated[str, AfterValidator(_port)] = Field(
        description="`/dev/serial/by-id/…`, `/dev/tty…`, `socket://host:port`, `rfc2217://host:port`, "
        "`usb:VID:PID[:SERIAL]` (four hexadecimal digits each) or, over Bluetooth, `ble:` and the machine's "
        "address. `checkup-gateway devices scan` prints it.",
    )
    baudrate: int | None = Field(default=None, gt=0, description="Bits a second, where not the driver's own.")
    bytesize: Literal[7, 8] | None = Field(default=None, description="Data bits, where not the driver's own.")
    parity: Literal["N", "E", "O"] | None = Field(
        default=None, description="Parity, where not the driver's own."
    )
    stopbits: Literal[1, 2] | None = Field(default=None, description="Stop bits, where not the driver's own.")
    timezone: Annotated[str, AfterValidator(_timezone)] | None = Field(
        default=None,
        description="Time zone this machine's clock is set to, where not the gateway's own; summer time as "
        "in that zone.",
        examples=["Asia/Urumqi"],
    )
    settings: dict[str, str | int | bool] = Field(
        default={},
        description="What this driver lets one set; its stanza in `config example` lists the keys.",
    )


class FhirConfig(Section):
    """The central record's FHIR R4 server."""

    url: Annotated[str, AfterValidator(_web_address)] = Field(
        description="Base address of the server, without `/metadata`.",
        examples=["https://centre.example/fhir"],
    )
    subject: Literal["identifier", "patient"] = Field(
        default="identifier",
        description="`identifier`: residents are named by identifier only; `patient`: a Patient is created "
        "first, if there is none.",
    )
    identifier_systems: dict[str, str] = Field(
        default={},
        description="Our word for an identifier system to the URI the server knows it by.",
        examples=[{"cn-id": "https://centre.example/sid/resident-id"}],
    )
    identifier_system: str = Field(
        default="urn:checkup-gateway:measurement",
        min_length=1,
        description="System URI of every Observation's identifier; never changed once something was sent.",
    )
    max_entries: int = Field(default=50, ge=2, description="Entries in one bundle at most.")
    max_attempts: int = Field(
        default=5, ge=1, description="Answers of 4xx before a delivery is parked for a person."
    )
    timeout_s: float = Field(default=30.0, gt=0, description="Seconds to wait for an answer.")
    token_file: Path | None = Field(
        default=None,
        description="File that holds the bearer token, if one is needed.",
        examples=["/etc/checkup-gateway/fhir-token"],
    )


class HttpConfig(Section):
    """Where the page and the pull API are served."""

    host: str = Field(
        default="127.0.0.1",
        description="Address to listen on. Any other than 127.0.0.1 shows names to the network: the unit's "
        "IPAddressAllow= must then name who may connect.",
    )
    port: int = Field(default=8480, ge=0, le=65535, description="TCP port; 0 takes any free one.")


class BluetoothConfig(Section):
    """The box's Bluetooth; nothing need be stated where there is one adapter."""

    adapter: Annotated[str, AfterValidator(_adapter)] | None = Field(
        default=None,
        description="The adapter to use where there are several: its address, or `hci0`, which may change. "
        "Bonds belong to one adapter.",
        examples=["00:00:5E:00:53:00"],
    )
    passkey_files: dict[Annotated[str, AfterValidator(_address)], Path] = Field(
        default={},
        description="A machine's address to the file that holds the six digits on its label or screen.",
        examples=[{"00:00:5E:00:53:01": "/etc/checkup-gateway/passkey-1"}],
    )


class BackupConfig(Section):
    """Copies of the journal on a second medium, made by the service."""

    folder: Path = Field(
        description="Folder on another disk than `state`: a stick, a card, a network drive. The unit must "
        "let the service write there (`ReadWritePaths=`). A copy names nobody without the key, which must "
        "therefore be kept elsewhere.",
        examples=["/media/backup/checkup-gateway"],
    )
    every_h: float = Field(
        default=24.0, gt=0, description="Hours after which a copy is due, if anything was stored since."
    )
    keep: int = Field(default=14, ge=1, description="Copies kept; the oldest go.")


class RetentionConfig(Section):
    """How long a machine's raw frames are kept once every central record has accepted what they say."""

    after_days: int = Field(
        ge=30,
        description="Days until nobody can dispute a measurement any more. Then its raw frames are let go; "
        "values, verdicts, their times and the chain stay for ever.",
        examples=[730],
    )


class Config(Section):
    """The whole file."""

    gateway: str = Field(
        default="gateway-1",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,31}$",
        description="This box's id. Part of measurement ids, so unique in the county and never changed.",
    )
    timezone: Annotated[str, AfterValidator(_timezone)] = Field(
        default="Asia/Shanghai", description="Time zone the machines' clocks are set to and the page shows."
    )
    language: Literal["zh-CN", "en"] = Field(
        default="zh-CN", description="Language of the page and messages."
    )
    state: Path = Field(
        default=Path("/var/lib/checkup-gateway"),
        description="Folder of the journal. Only the service writes there; back it up with `journal backup`.",
    )
    key_file: Path | None = Field(
        default=None,
        description="File that holds the key to residents' names, made at the first start. By default the "
        "systemd credential `identity-key` if there is one, else `key` in a folder beside `state`. "
        "Keep a copy in a safe place, never beside a backup of the journal.",
        examples=["/var/lib/checkup-gateway-key/key"],
    )
    log_level: Literal["wire", "debug", "info", "warning", "error"] = Field(
        default="info",
        description="Least level logged. `debug` may show values, `wire` shows every byte of a device: "
        "for a technician's hour, not for every day.",
    )
    http: HttpConfig = Field(default=HttpConfig(), description="The page and the pull API.")
    fhir: FhirConfig | None = Field(
        default=None, description="The central record; without it nothing is sent."
    )
    backup: BackupConfig | None = Field(
        default=None, description="Scheduled copies of the journal; without it none are made."
    )
    retention: RetentionConfig | None = Field(
        default=None, description="What is let go one day; without it everything is kept."
    )
    bluetooth: BluetoothConfig = Field(default=BluetoothConfig(), description="The box's Bluetooth.")
    devices: tuple[DeviceConfig, ...] = Field(default=(), description="One stanza a device.")

    @model_validator(mode="after")
    def _each_device_once(self) -> Self:
        for key in ("name", "port"):
            seen: dict[str, int] = {}
            for index, device in enumerate(self.devices):
                first = seen.setdefault(value := getattr(device, key), index)
                if first != index:
                    raise PydanticCustomError(
                        "twice",
                        "devices[{index}].{key}: {value} is already devices[{first}].{key}",
                        {"index": index, "key": key, "value": repr(value), "first": first},
                    )
        return self


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration and where each of its values came from.

    `origins` maps a key's path (`http.port`, `devices[0].name`) to the environment variable or file that set
    it; a path that is absent has the default.
    """

    config: Config
    path: Path
    origins: Mapping[str, str]


class _Sources(BaseSettings, Config):
    """The same keys, as pydantic-settings wants them to find their environment variables."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid"
    )


class _Environment(EnvSettingsSource):
    """The environment given, which need not be this process's."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        super().__init__(_Sources)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._environ.items()}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> object:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            variable = PREFIX + field_name.upper()
            raise ConfigError(
                f"{field_name}: a list or table in a variable is written as JSON (in {variable})"
            ) from None


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> Config:
    """Read the configuration as `load_with_origins` does, without the origins. Raises ConfigError."""
    return load_with_origins(path, environ).config


def load_with_origins(path: Path | None, environ: Mapping[str, str] = os.environ) -> Loaded:
    """Read *path*, else the file `CHECKUP_GATEWAY_CONFIG` names, else the default one.

    Raises ConfigError whose detail has one line a fault: the key's path, what is wrong, what was likely
    meant, and the file or environment variable it stands in.
    """
    path = path or Path(environ.get(PATH_VARIABLE) or DEFAULT_PATH)
    from_file = _read(path)
    from_environment = _environment(environ)
    merged = _merged(from_file, from_environment)
    overridden = set(_leaves(from_environment))
    origins = {key: _variable(key, environ) if key in overridden else str(path) for key in _leaves(merged)}
    try:
        config = Config.model_validate(merged)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False)
        faults = [config_faults.in_keys(error, Config, origins, path) for error in errors]
        raise ConfigError("\n".join(dict.fromkeys(faults))) from None
    faults = [
        f"devices[{index}].{fault} (in {origins[f'devices[{index}].driver']})"
        for index, device in enumerate(config.devices)
        for fault in config_faults.in_device(device.driver, device.port, device.settings, catalogue.every())
    ]
    if faults:
        raise ConfigError("\n".join(faults))
    return Loaded(config, path, origins)


def _read(path: Path) -> dict[str, object]:
    try:
        if not path.is_file():
            raise ConfigError(
                f"{path} is not there; `checkup-gateway config example` prints one to start from",
                code="config.missing",
            )
        return TomlConfigSettingsSource(_Sources, path)()
    except OSError as unreadable:
        raise ConfigError(f"{path} cannot be read: {unreadable.strerror}", code="config.unreadable") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as broken:
        raise ConfigError(f"{path} is not TOML: {broken}") from None


def _environment(environ: Mapping[str, str]) -> dict[str, object]:
    for name in sorted(environ):
        key = name.removeprefix(PREFIX).partition("__")[0].lower()
        if name.startswith(PREFIX) and name != PATH_VARIABLE and key not in Config.model_fields:
            likely = config_faults.meant(key, Config.model_fields)
            raise ConfigError(f"{key}: unknown key{likely} (in environment variable {name})")
    return _Environment(environ)()


def _merged(under: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _leaves(value: object, path: str = "") -> list[str]:
    if isinstance(value, Mapping):
        return [
            leaf for key, item in value.items() for leaf in _leaves(item, f"{path}.{key}" if path else key)
        ]
    if isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        return [leaf for index, item in enumerate(value) for leaf in _leaves(item, f"{path}[{index}]")]
    return [path]


def _variable(key: str, environ: Mapping[str, str]) -> str:
    """Return the name of the variable that set *key*: its own, or that of a table or list around it."""
    words = re.sub(r"\[\d+\]", "", key).split(".")
    names = [PREFIX + "__".join(words[:count]) for count in range(len(words), 0, -1)]
    given = {name.upper(): name for name in environ}
    return next(given[name.upper()] for name in names if name.upper() in given)
