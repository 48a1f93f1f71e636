"""Knows Asterisk, and nothing of the database or the web."""
