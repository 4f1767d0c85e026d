"""The two Devices behind every machine-made Observation: the machine, and this gateway."""

from gateway.fhir.codes import DEVICE_TYPES, GATEWAY_TYPE, MDC
from gateway.fhir.elements import OURS, Json, concept, identifier
from gateway.fhir.setting import Setting
from protocol.readings import Kind
from store.facts import Measurement

DEVICE_SYSTEM = f"{OURS}device"
GATEWAY_SYSTEM = f"{OURS}gateway"


def machine(measurement: Measurement, setting: Setting, model: str, kinds: tuple[Kind, ...]) -> Json:
    """Return the machine as a Device; *measurement* came from one.

    It is told apart by its serial number, so that two gateways mean the same machine, and only where it
    tells none by the name it has at this gateway. *model* and *kinds* are what its driver declares.
    """
    name = measurement.serial or f"{setting.gateway}.{measurement.device}"
    names = [{"name": measurement.device, "type": "user-friendly-name"}]
    resource: Json = {
        "resourceType": "Device",
        "identifier": [identifier(DEVICE_SYSTEM, f"{measurement.driver}.{name}")],
        "deviceName": [{"name": model, "type": "model-name"}, *names] if model else names,
    }
    if measurement.serial:
        resource["serialNumber"] = measurement.serial
    if len(kinds) == 1 and kinds[0] in DEVICE_TYPES:
        resource["type"] = concept(MDC, DEVICE_TYPES[kinds[0]])
    return resource


def gateway(setting: Setting) -> Json:
    """Return this gateway as a Device, with the release that is running."""
    return {
        "resourceType": "Device",
        "identifier": [identifier(GATEWAY_SYSTEM, setting.gateway)],
        "deviceName": [{"name": setting.gateway, "type": "user-friendly-name"}],
        "type": concept(MDC, GATEWAY_TYPE),
        "version": [{"value": setting.release}],
    }
