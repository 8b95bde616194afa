"""The bench's own small servers. Each is started as ``python -m bench.programs.NAME``."""
