"""Runs the migrations within the application, on its own engine: for the first exchange, then for each further one."""

from alembic import context
from flask import current_app

from app.store import exchanges

migrate = current_app.extensions["migrate"]


def run(connection):
    context.configure(
        connection=connection,
        target_metadata=migrate.db.metadatas[None],
        **migrate.configure_args,
    )
    with context.begin_transaction():
        context.run_migrations()


with migrate.db.engine.connect() as connection:
    if connection.dialect.name == "postgresql":
        with connection.begin():  # all exchanges are migrated, or none
            run(connection)
            for key in exchanges.list_further(connection):
                exchanges.enter_for_migration(connection, key)
                run(connection)
    else:
        run(connection)
