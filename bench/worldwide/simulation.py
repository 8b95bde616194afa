"""Changes on their way to a thousand gates and their acknowledgements on the way back, with leases and faults.

Links keep their order, so what happens when follows from what came before, without a queue of events: each change is
sent, relayed, applied and acknowledged at times that are the latest of what it has to wait for, and a delay. The same
seed gives the same run.

The rule of leases that is tried here is that of the nodes: a beat carries the number of the last change, and renews the
lease of a gate only when the gate has applied that change; a lease lasts from when the beat was sent.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import NamedTuple

from bench.worldwide.model import BEATS_PER_LEASE, World

LAN_MS = 0.3
JITTER = 0.1
LOSS = 0.001
"""Of messages between regions; what is lost is sent again after a round trip more."""
WAIT_MS = 2_000.0
"""How long a revocation waits for acknowledgements."""
_Z99 = 2.326


class Fault(NamedTuple):
    """From when to when, in ms, a region cannot be reached, or some gates of it apply nothing."""

    region: int
    from_ms: float
    to_ms: float
    stuck_gates: int = 0
    """0: the whole region is cut off."""


class Speeds(NamedTuple):
    """Of one gate: how long it takes to apply a change, and how much longer each gate of a relay waits for its turn."""

    applied_p50_ms: float
    applied_p99_ms: float
    stream_ms: float


class Receipt(NamedTuple):
    """How long a revocation took to answer, and how many gates had not acknowledged it by then."""

    took_ms: float
    pending: int


class Run(NamedTuple):
    """``exposed`` counts changes that some gate might not have heeded after the receipt said that it would."""

    receipts: list[Receipt]
    exposed: int
    longest_closed_ms: float
    """For which the gate that was closed longest had no lease."""


class _Gate:
    """What one gate heard when, in ms: when each change was applied, and its leases as pairs of beginning and end."""

    def __init__(self, stuck: tuple[float, float] | None) -> None:
        self.applied: list[float] = []
        self.leases: list[tuple[float, float]] = []
        self._stuck = stuck
        self._heard = 0.0

    def hear(self, at_ms: float) -> float:
        """When something reaches it that was sent after all before it."""
        self._heard = max(self._heard, at_ms)
        return self._heard

    def apply(self, heard_ms: float, takes_ms: float) -> None:
        start = max(heard_ms, self.applied[-1] if self.applied else 0.0)
        if self._stuck is not None and self._stuck[0] <= start < self._stuck[1]:
            start = self._stuck[1]
        self.applied.append(start + takes_ms)

    def exposed_until(self, number: int) -> float:
        """The last time at which it might still have judged without the change."""
        applied = self.applied[number]
        return max((min(end, applied) for begin, end in self.leases if begin < min(end, applied)), default=0.0)

    def closed_ms(self) -> float:
        """Its longest time without a lease, from its first one to its last."""
        longest = covered = 0.0
        for begin, end in sorted(self.leases):
            longest = max(longest, begin - covered) if covered else longest
            covered = max(covered, end)
        return longest


class Simulation:
    """``renews_unheard`` is a deliberate error: a beat renews the lease of a gate that lacks changes."""

    def __init__(
        self, world: World, speeds: Speeds, faults: Sequence[Fault] = (), *, seed: int = 1, renews_unheard: bool = False
    ) -> None:
        self._world = world
        self._speeds = speeds
        self._faults = faults
        self._random = random.Random(seed)
        self._renews_unheard = renews_unheard
        self._spread = math.log(speeds.applied_p99_ms / speeds.applied_p50_ms) / _Z99

    def run(self, seconds: int, revokes_per_s: int) -> Run:
        """Revocations at even times, and beats as nodes have them, for so long."""
        lease_ms = self._world.lease_s * 1000
        revokes = [1000 * number / revokes_per_s for number in range(seconds * revokes_per_s)]
        beat_ms = lease_ms / BEATS_PER_LEASE
        beats = [beat_ms * number + 7 for number in range(int(seconds * 1000 / beat_ms))]
        acknowledged: list[list[float]] = []
        gates: list[_Gate] = []
        for region in range(len(self._world.rtts_ms)):
            some = self._region(region, revokes, beats)
            gates += some
            acknowledged += self._ways_back(region, some)
        receipts = [_receipt(acknowledged, number, at) for number, at in enumerate(revokes)]
        pairs = [*zip(gates, acknowledged, strict=True)]
        exposed = sum(
            any(
                gate.exposed_until(number) > _promised(at, receipts[number], acks[number], lease_ms)
                for gate, acks in pairs
            )
            for number, at in enumerate(revokes)
        )
        return Run(receipts, exposed, max(gate.closed_ms() for gate in gates))

    def _region(self, region: int, revokes: list[float], beats: list[float]) -> list[_Gate]:
        """The gates of a region, after everything has reached them."""
        count = self._world.gates_per_region
        stuck = next((fault for fault in self._faults if fault.region == region and fault.stuck_gates), None)
        bounds = (stuck.from_ms, stuck.to_ms) if stuck else None
        gates = [_Gate(bounds if stuck and place < stuck.stuck_gates else None) for place in range(count)]
        sent = sorted([(at, True) for at in revokes] + [(at, False) for at in beats])
        number = 0
        latest = 0.0
        for at, is_change in sent:
            latest = max(latest, self._across(region, at))
            for place, gate in enumerate(gates):
                heard = gate.hear(latest + LAN_MS + place * self._speeds.stream_ms)
                if is_change:
                    gate.apply(heard, self._takes_ms())
                else:
                    self._renew(gate, at, heard, number)
            number += is_change
        return gates

    def _renew(self, gate: _Gate, sent_ms: float, heard_ms: float, number: int) -> None:
        """``number`` changes were sent before the beat. The lease begins when the gate has them."""
        has_all = gate.applied[number - 1] if number and not self._renews_unheard else 0.0
        begin, end = max(heard_ms, has_all), sent_ms + self._world.lease_s * 1000
        if begin < end:
            gate.leases.append((begin, end))

    def _ways_back(self, region: int, gates: list[_Gate]) -> list[list[float]]:
        """When the home of the record knows of each change that each gate has it.

        A relay tells in one message how far all of its gates are, and which of them lag.
        """
        delays = [self._delay_ms(region) for _ in gates[0].applied]
        return [
            [self._reachable(region, at + LAN_MS) + delay for at, delay in zip(gate.applied, delays, strict=True)]
            for gate in gates
        ]

    def _across(self, region: int, at_ms: float) -> float:
        """When what is sent between the home and a region arrives."""
        return self._reachable(region, at_ms) + self._delay_ms(region)

    def _reachable(self, region: int, at_ms: float) -> float:
        """When the region can be reached: at once, or a round trip after a fault that has cut it off."""
        for fault in self._faults:
            if fault.region == region and not fault.stuck_gates and fault.from_ms <= at_ms < fault.to_ms:
                return fault.to_ms + self._world.rtts_ms[region]
        return at_ms

    def _delay_ms(self, region: int) -> float:
        rtt = self._world.rtts_ms[region]
        again = rtt + 1 if self._random.random() < LOSS else 0
        return rtt / 2 * (1 + JITTER * self._random.expovariate(1)) + again

    def _takes_ms(self) -> float:
        return self._random.lognormvariate(math.log(self._speeds.applied_p50_ms), self._spread)


def _receipt(acknowledged: list[list[float]], number: int, at_ms: float) -> Receipt:
    took = max(acks[number] for acks in acknowledged) - at_ms
    if took <= WAIT_MS:
        return Receipt(took, 0)
    return Receipt(WAIT_MS, sum(acks[number] - at_ms > WAIT_MS for acks in acknowledged))


def _promised(at_ms: float, receipt: Receipt, acknowledged_ms: float, lease_ms: float) -> float:
    """Until when a gate may still accept: the receipt, if it had acknowledged by then, else the end of its lease."""
    answered = at_ms + receipt.took_ms
    return answered if acknowledged_ms <= answered else at_ms + lease_ms
