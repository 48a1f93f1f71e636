"""Use cases. Each one owns its transaction."""
