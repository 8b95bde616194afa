"""The kinds of restriction, each a value that can only object to a call (law 1). Nothing here allows anything."""
