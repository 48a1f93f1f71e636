"""Build the Debian package, and test it on systems of its own."""
