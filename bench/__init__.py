"""What Keyscope costs, measured beside its ceilings and peers. ``python -m bench`` runs it all (docs/performance.md)."""
