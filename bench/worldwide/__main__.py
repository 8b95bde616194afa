"""Print the tables."""

from bench.worldwide.tables import tables

if __name__ == "__main__":
    print("\n".join(tables()))
