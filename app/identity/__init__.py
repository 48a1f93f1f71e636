"""Asks the office's own services who somebody is: an OpenID Connect provider, and LDAP directories.

Knows neither the database nor the web.
"""
