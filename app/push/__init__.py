"""Sends messages to addresses of the internet: notifications to the push services of browsers (Web Push, RFC 8030),
and webhooks. Knows neither the database nor the web.
"""
