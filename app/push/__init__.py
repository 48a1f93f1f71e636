"""Sends notifications to the push services of browsers (Web Push, RFC 8030). Knows neither the database nor the web."""
