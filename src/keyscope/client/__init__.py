"""For programs that ask a Keyscope server: the stream of changes, read."""
