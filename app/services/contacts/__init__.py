"""The office's contacts: who calls."""
