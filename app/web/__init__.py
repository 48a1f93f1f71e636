"""The panel: one blueprint per family of pages."""
