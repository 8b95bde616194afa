"""The ``keyscope`` command: tables for people, ``--json`` for programs, and what to do next."""
