"""Keep the times that callers choose, and where they may; and the fixed agents of numbers with priority."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

# Added by ALTER TABLE: on SQLite a table that is created again loses, with its old self, the rows that depend on it.
ADDED = (
    ("modules", sa.Column("offers_times", sa.Boolean(), nullable=False, server_default=sa.false())),
    ("modules", sa.Column("quarter_limit", sa.Integer(), nullable=False, server_default="0")),
    ("listed_numbers", sa.Column("agent", sa.String(length=20), nullable=False, server_default="")),
    ("call_requests", sa.Column("time_chosen", sa.Boolean(), nullable=False, server_default=sa.false())),
)


def upgrade():
    for table, column in ADDED:
        op.add_column(table, column)


def downgrade():
    for table, column in ADDED:
        op.execute(f"ALTER TABLE {table} DROP COLUMN {column.name}")
