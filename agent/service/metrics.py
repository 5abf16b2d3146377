"""Counters for Prometheus. Labels are routes, methods, statuses and kinds of outcome: nothing of a person."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

KIND = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 20)


class Metrics:
    """One for each service; `text` is what /v1/metrics gives."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self._requests = Counter("snowmelt_requests", "Requests answered", labels, registry=self._registry)
        self._seconds = Histogram(
            "snowmelt_request_seconds",
            "Seconds to the last byte",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._asked = Counter("snowmelt_model_calls", "Questions to the model", ("outcome",), registry=self._registry)
        self._thought = Histogram(
            "snowmelt_model_seconds", "Seconds of a question to the model, waiting included", buckets=_SECONDS,
            registry=self._registry,
        )  # fmt: skip
        self._degraded = Counter("snowmelt_degraded", "Answers without the model", registry=self._registry)
        self._gauges: list[Gauge] = []

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method if method in _METHODS else "OTHER", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def model(self, outcome: str, seconds: float) -> None:
        self._asked.labels(outcome).inc()
        self._thought.observe(seconds)

    def degraded(self) -> None:
        self._degraded.inc()

    def watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        """A gauge that is read when it is asked for."""
        gauge = Gauge(f"snowmelt_{name}", what, registry=self._registry)
        gauge.set_function(value)
        self._gauges.append(gauge)

    def text(self) -> bytes:
        return generate_latest(self._registry)


_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
