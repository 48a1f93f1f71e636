"""Notifications: the preferences of users, their browsers, and the outbox."""
