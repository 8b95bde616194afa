"""``python -m keyscope`` is the ``keyscope`` command."""

from keyscope.cli.main import main

if __name__ == "__main__":
    main()
