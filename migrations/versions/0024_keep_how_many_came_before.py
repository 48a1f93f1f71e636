"""Keep how many came before a request, and which modules tell their callers the place and the estimated wait."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

# Added by ALTER TABLE: on SQLite a table that is created again loses, with its old self, the rows that depend on it.
ADDED = (
    ("modules", sa.Column("tells_place", sa.Boolean(), nullable=False, server_default=sa.false())),
    ("modules", sa.Column("tells_wait", sa.Boolean(), nullable=False, server_default=sa.false())),
    ("call_requests", sa.Column("ahead", sa.Integer(), nullable=True)),
)
INDEX = "ix_call_requests_waits"


def upgrade():
    for table, column in ADDED:
        op.add_column(table, column)
    where = sa.text(
        "status = 'done' AND last_outcome = 'connected' AND customer_attempts = 0 AND postponed_until IS NULL"
        " AND reopened_at IS NULL"
    )
    columns = ["module_id", "queue", "target", "registered_at"]
    op.create_index(INDEX, "call_requests", columns, sqlite_where=where, postgresql_where=where)


def downgrade():
    op.drop_index(INDEX, table_name="call_requests")
    for table, column in ADDED:
        op.execute(f"ALTER TABLE {table} DROP COLUMN {column.name}")
