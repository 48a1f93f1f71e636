"""The settings that an administrator edits in the panel."""
