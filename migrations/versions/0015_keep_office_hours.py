"""Keep the hours of modules, the days that differ from the week, and the office's time zone as the worker knows it."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# Added by ALTER TABLE: on SQLite a table that is created again loses, with its old self, the rows that depend on it.
ADDED = (
    ("modules", sa.Column("hours", sa.String(length=600), nullable=False, server_default="")),
    ("modules", sa.Column("holidays", sa.Boolean(), nullable=False, server_default=sa.true())),
    ("modules", sa.Column("outside", sa.String(length=16), nullable=False, server_default="next_opening")),
    ("modules", sa.Column("stop_before", sa.Integer(), nullable=False, server_default="0")),
    ("modules", sa.Column("carry_over", sa.Boolean(), nullable=False, server_default=sa.true())),
    ("worker_state", sa.Column("timezone", sa.String(length=64), nullable=False, server_default="")),
)


def upgrade():
    op.create_table(
        "special_days",
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("hours", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("created_by", sa.String(length=80), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("date", name=op.f("pk_special_days")),
    )
    for table, column in ADDED:
        op.add_column(table, column)


def downgrade():
    for table, column in ADDED:
        op.execute(f"ALTER TABLE {table} DROP COLUMN {column.name}")
    op.drop_table("special_days")
