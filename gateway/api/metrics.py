"""Numbers for Prometheus, read anew at each scrape; no label ever holds a person's identity."""

from collections.abc import Iterator, Sequence
from typing import get_args

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway import clock
from gateway.api.context import Here
from gateway.clock import Clock
from gateway.service import DeviceCondition, DeviceState
from store.queries import Queries

router = APIRouter(tags=["health"])

PREFIX = "checkup"


class Snapshot(Collector):
    """The gateway's numbers at one moment."""

    def __init__(self, devices: Sequence[DeviceState], queries: Queries) -> None:
        self._devices = devices
        self._counts = queries.counts()
        self._outbox = queries.outbox_counts()

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        yield from self._of_devices()
        kept = GaugeMetricFamily(f"{PREFIX}_measurements", "Measurements in the journal", labels=["kind"])
        for kind, count in self._counts.measurements.items():
            kept.add_metric([kind], count)
        yield kept
        yield GaugeMetricFamily(f"{PREFIX}_tray", "Measurements that belong to nobody yet", self._counts.tray)
        yield GaugeMetricFamily(f"{PREFIX}_open_exams", "Exams open now", self._counts.open_exams)
        yield from self._of_outbox()

    def _of_devices(self) -> Iterator[Metric]:
        readings = CounterMetricFamily(f"{PREFIX}_readings", "Readings since the start", labels=["device"])
        noise = CounterMetricFamily(
            f"{PREFIX}_noise_bytes", "Bytes that belong to no frame", labels=["device"]
        )
        clock = GaugeMetricFamily(
            f"{PREFIX}_device_clock_offset_seconds",
            "Device clock minus ours, where it was read",
            labels=["device"],
        )
        condition = GaugeMetricFamily(
            f"{PREFIX}_device_condition",
            "1 for the condition the device is in",
            labels=["device", "condition"],
        )
        for device in self._devices:
            readings.add_metric([device.name], device.readings)
            noise.add_metric([device.name], device.noise_bytes)
            if device.clock_offset_s is not None:
                clock.add_metric([device.name], device.clock_offset_s)
            for name in get_args(DeviceCondition):
                condition.add_metric([device.name, name], float(device.condition == name))
        yield from (readings, noise, clock, condition)

    def _of_outbox(self) -> Iterator[Metric]:
        now = Clock().now()
        rows = GaugeMetricFamily(
            f"{PREFIX}_outbox", "Measurements by delivery state", labels=["forwarder", "state"]
        )
        age = GaugeMetricFamily(
            f"{PREFIX}_outbox_oldest_seconds",
            "Age of what waits longest, 0 where nothing does",
            labels=["forwarder"],
        )
        for name, count in self._outbox.items():
            for state in ("waiting", "parked", "delivered"):
                rows.add_metric([name, state], getattr(count, state))
            oldest = count.oldest_waiting
            age.add_metric([name], clock.age(oldest, now) if oldest else 0.0)
        yield from (rows, age)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(here: Here) -> Response:
    """Return the numbers in Prometheus' text form."""
    body = await run_in_threadpool(_written, here.service.devices(), here.queries)
    return Response(body, media_type=CONTENT_TYPE_LATEST)


def _written(devices: Sequence[DeviceState], queries: Queries) -> bytes:
    registry = CollectorRegistry()
    registry.register(Snapshot(devices, queries))
    return generate_latest(registry)
