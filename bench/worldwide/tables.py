"""What docs/scale.md holds between its marks, written from the model and the simulation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bench.worldwide.figures import Figure, figures
from bench.worldwide.model import WORLDWIDE, Load, World, loads, most_direct_gates, of_gates
from bench.worldwide.simulation import Fault, Run, Simulation, Speeds

SECONDS, REVOKES_PER_S = 24, 2
CUT = Fault(region=7, from_ms=6_000, to_ms=15_000)
STUCK = Fault(region=12, from_ms=8_000, to_ms=17_000, stuck_gates=3)


def tables() -> Iterator[str]:
    """All of them, as Markdown."""
    known = figures()
    yield from _figures(known.values())
    yield from _loads(
        "of one record and of the network", "each gate by itself", "a relay in each region", loads(WORLDWIDE, known)
    )
    yield from _loads("of one gate's machine", "all keys", "those of one shard", of_gates(WORLDWIDE, known))
    yield f"At **{most_direct_gates(known)} gates** that follow it directly, a tenth of a record's commits are beats."
    yield ""
    yield from _runs(speeds_of(known))


def speeds_of(known: dict[str, Figure]) -> Speeds:
    return Speeds(known["applied_p50"].value, known["applied_p99"].value, known["stream_ms"].value)


def _figures(known: Iterable[Figure]) -> Iterator[str]:
    yield "| figure | | from |"
    yield "|---|---|---|"
    for figure in known:
        yield f"| {figure.name} | {_number(figure.value, figure.unit)} | {_source(figure.source)} |"
    yield ""


def _source(source: str) -> str:
    return f"`{source}`" if source.startswith("tests/") else source


def _loads(what: str, direct: str, relayed: str, rows: list[Load]) -> Iterator[str]:
    yield f"| {what} | {direct} | {relayed} |"
    yield "|---|---|---|"
    for row in rows:
        yield f"| {row.what} | {_number(row.direct, row.unit)} | {_number(row.relayed, row.unit)} |"
    yield ""


def _number(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:,.0f} {unit}".strip() if value >= 10 else f"{value:,.2g} {unit}".strip()


def _runs(speeds: Speeds) -> Iterator[str]:
    yield "| run | p50 | p99 | longest | with gates pending | longest closed gate | accepted after the receipt's word |"
    yield "|---|---|---|---|---|---|---|"
    yield _run("20 regions, 1,000 gates", simulated(WORLDWIDE, speeds))
    yield _run("a region cut off for 9 s, 3 gates of another stuck for 9 s", simulated(WORLDWIDE, speeds, (CUT, STUCK)))
    near = WORLDWIDE._replace(rtts_ms=WORLDWIDE.rtts_ms[:5], gates=250)
    yield _run("the five nearest regions alone", simulated(near, speeds))
    yield ""


def simulated(world: World, speeds: Speeds, faults: Sequence[Fault] = (), *, wrong: bool = False) -> Run:
    return Simulation(world, speeds, faults, renews_unheard=wrong).run(SECONDS, REVOKES_PER_S)


def _run(name: str, run: Run) -> str:
    took = sorted(receipt.took_ms for receipt in run.receipts)
    pending = sum(receipt.pending > 0 for receipt in run.receipts)
    p50, p99 = took[len(took) // 2], took[int(len(took) * 0.99) - 1]
    closed = f"{run.longest_closed_ms / 1000:.1f} s"
    times = " | ".join(f"{ms:.0f} ms" for ms in (p50, p99, took[-1]))
    return f"| {name} | {times} | {pending} of {len(took)} | {closed} | {run.exposed} |"
