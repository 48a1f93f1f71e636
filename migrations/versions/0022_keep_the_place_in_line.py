"""Keep the place in line: who comes first in a queue, and when its callers joined."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

COLUMNS = (
    ("modules", sa.Column("place", sa.String(16), nullable=False, server_default="first_call")),
    ("modules", sa.Column("callers_lead", sa.Integer(), nullable=False, server_default="1800")),
    ("modules", sa.Column("callers_share", sa.Integer(), nullable=False, server_default="3")),
    ("queues", sa.Column("callers_joined", sa.JSON(), nullable=False, server_default="[]")),
    ("queues", sa.Column("callers_answered", sa.Integer(), nullable=False, server_default="0")),
)
# Added by ALTER TABLE: on SQLite a table that is created again loses, with its old self, the rows that depend on it.


def upgrade():
    for table, column in COLUMNS:
        op.add_column(table, column)


def downgrade():
    for table, column in reversed(COLUMNS):
        op.execute(f"ALTER TABLE {table} DROP COLUMN {column.name}")
