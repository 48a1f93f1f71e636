"""Code of script/bootstrap and script/test. Standard library only: it runs before the installation."""
