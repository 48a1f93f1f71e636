"""Notifications of users, and what browsers need to show them and to install the panel."""
