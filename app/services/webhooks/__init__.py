"""Webhooks: their destinations, the outbox, and the log of what was sent."""
