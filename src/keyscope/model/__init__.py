"""Pure values and judgements. Nothing here reads a clock, a file, a socket or a source of randomness."""
