"""Sound: bytes and paths in, paths out. Knows nothing of the rest."""
