"""Numbers for Prometheus, read anew at each scrape; no label ever holds a person's identity."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, get_args

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.api.context import Here
from gateway.service import DeviceCondition, DeviceState
from store.queries import Queries

router = APIRouter(tags=["health"])
