"""What the mapping must know of this clinic: which gateway, which time zone, which identifier systems."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from gateway.fhir.elements import OURS

MEASUREMENT_SYSTEM = f"{OURS}measurement"


@dataclass(frozen=True, slots=True)
class Setting:
    """Fixed for the life of the service. `identifier_systems`: our words to URIs, the preferred first."""

    gateway: str
    release: str
    zone: ZoneInfo
    measurement_system: str = MEASUREMENT_SYSTEM
    identifier_systems: Mapping[str, str] = field(default_factory=dict)
