"""What visitors of websites use: the script, its calls, and the pages for those without JavaScript."""
