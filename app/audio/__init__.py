"""Synthesize speech, convert sound files and keep the finished clips."""
