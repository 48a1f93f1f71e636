"""Call request modules: list, validate, save, export and import them."""
