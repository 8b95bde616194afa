"""How Keyscope runs at a thousand gates in twenty regions: arithmetic and a simulation, from measured figures.

``python -m bench.worldwide`` prints what docs/scale.md holds.
"""
