"""Keep which numbers may be called, where each request's number came from, and the office's country."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# Added by ALTER TABLE: on SQLite a table that is created again loses, with its old self, the rows that depend on it.
ADDED = (
    ("call_requests", sa.Column("number_source", sa.String(length=12), nullable=False, server_default="caller_id")),
    ("worker_state", sa.Column("region", sa.String(length=3), nullable=False, server_default="")),
)


def upgrade():
    op.create_table(
        "number_rules",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("value", sa.String(length=24), nullable=False),
        sa.Column("typed", sa.Boolean(), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("created_by", sa.String(length=80), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_number_rules")),
        sa.UniqueConstraint("value", name=op.f("uq_number_rules_value")),
    )
    for table, column in ADDED:
        op.add_column(table, column)
    # It is not known which callers typed their number. Their requests go on by the rules for callers' own numbers.
    op.execute("UPDATE call_requests SET number_source = 'panel' WHERE created_by <> ''")


def downgrade():
    for table, column in ADDED:
        op.execute(f"ALTER TABLE {table} DROP COLUMN {column.name}")
    op.drop_table("number_rules")
