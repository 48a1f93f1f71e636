"""Contacts and their import, once more on a PostgreSQL server."""

from tests.support.other_database import taken_over
from tests.web.contacts import test_contacts
from tests.web.contacts.test_contacts import scene, talking
from tests.web.on_postgres import app, template_with_people

__all__ = ["app", "scene", "talking", "template_with_people"]

globals().update(taken_over(test_contacts), **taken_over(test_contacts, fixture="supervisor"))
