"""The metrics that there are, and what each says: counts and gauges as Prometheus families."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from msgspec import Struct
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from keyscope import __version__
from keyscope.authority.meter import Counts, Timing
from keyscope.authority.ports import KeyCount
from keyscope.authority.webhooks import Backlog


class Gauges(Struct, frozen=True, kw_only=True):
    """What is not counted but looked at when somebody asks. Times are seconds; None is what does not apply."""

    store_works: bool
    audit_waiting_s: float | None
    gates: int
    keys: Sequence[KeyCount]
    stale_s: float | None
    webhooks: Backlog


def families(counts: Counts, gauges: Gauges) -> Iterator[Metric]:
    """All of them. A family without a value yet is there with its name, so that queries find it."""
    build = GaugeMetricFamily("keyscope_build_info", "Which Keyscope this is.", labels=["version"])
    build.add_metric([__version__], 1)
    yield build
    yield from _counted(counts)
    yield from _looked_at(gauges)


def _counted(counts: Counts) -> Iterator[Metric]:
    calls = CounterMetricFamily(
        "keyscope_calls",
        "Calls judged, by operation (empty for what the policy does not list), verdict, and code of the refusal.",
        labels=["operation", "verdict", "code"],
    )
    for labels, value in counts.calls:
        calls.add_metric(labels, value)
    yield calls
    judging = HistogramMetricFamily(
        "keyscope_judging_seconds", "Time to judge a call, from its head to the verdict, by gate.", labels=["gate"]
    )
    for gate, times in sorted(counts.judging.items()):
        judging.add_metric([gate], *_steps(times))
    yield judging
    yield _histogram(
        "keyscope_upstream_seconds", "Time until the upstream began to answer what the gate let through.",
        counts.upstream,
    )  # fmt: skip
    yield _histogram(
        "keyscope_revocation_seconds", "Time of a revocation, until no gate of this host takes the key any more.",
        counts.revoking,
    )  # fmt: skip
    tries = CounterMetricFamily("keyscope_webhook_tries", "Tries to deliver a message, by outcome.", labels=["outcome"])
    for outcome, value in counts.deliveries:
        tries.add_metric([outcome], value)
    yield tries


def _looked_at(gauges: Gauges) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "keyscope_store_up",
        "1 if the store and the audit trail can be used; 0 closes the gate.",
        int(gauges.store_works),
    )
    if gauges.audit_waiting_s is not None:
        yield GaugeMetricFamily(
            "keyscope_audit_waiting_seconds",
            "For how long something has waited to be written to the audit trail; 5 close the gate.",
            gauges.audit_waiting_s,
        )
    if gauges.stale_s is not None:
        yield GaugeMetricFamily(
            "keyscope_replica_stale_seconds",
            "How long ago this node asked what it judges by; at the setting max-staleness it judges nothing.",
            gauges.stale_s,
        )
    yield GaugeMetricFamily("keyscope_following_gates", "Gates that follow the changes of this database.", gauges.gates)
    keys = GaugeMetricFamily("keyscope_keys", "Keys, by kind and status.", labels=["kind", "status"])
    for count in gauges.keys:
        keys.add_metric([count.kind.value, count.status.value], count.keys)
    yield keys
    yield GaugeMetricFamily("keyscope_webhook_waiting", "Messages still to be delivered.", gauges.webhooks.waiting)
    yield GaugeMetricFamily("keyscope_webhook_dead", "Messages that were given up.", gauges.webhooks.dead)


def _histogram(name: str, about: str, times: Timing) -> Metric:
    family = HistogramMetricFamily(name, about)
    family.add_metric([], *_steps(times))
    return family


def _steps(times: Timing) -> tuple[list[tuple[str, float]], float]:
    bounds = [*(f"{bound:g}" for bound in times.bounds), "+Inf"]
    return [*zip(bounds, accumulate(times.steps), strict=True)], times.total_s
