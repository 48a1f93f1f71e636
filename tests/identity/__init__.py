"""The office's own services: a provider and directories."""
