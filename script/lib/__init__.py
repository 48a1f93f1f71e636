"""Code of script/bootstrap and script/test. It uses the standard library only, because it runs before the installation."""
