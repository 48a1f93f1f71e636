"""Keep the routes that fail, and the route of each attempt."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
# Added by ALTER TABLE. If Alembic recreates a table on SQLite, it drops the old one, and rows that reference it go too.
ADDED = (
    ("call_requests", sa.Column("route_failures", sa.Integer(), nullable=False, server_default="0")),
    ("attempts", sa.Column("route", sa.String(length=80), nullable=False, server_default="")),
    ("worker_state", sa.Column("outbound_context", sa.String(length=80), nullable=False, server_default="")),
)


def upgrade():
    op.create_table(
        "routes",
        sa.Column("context", sa.String(length=80), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("failed_at", MOMENT, nullable=False),
        sa.Column("outcome", sa.String(length=24), nullable=False),
        sa.Column("cause", sa.String(length=80), nullable=False),
        sa.PrimaryKeyConstraint("context", name=op.f("pk_routes")),
    )
    for table, column in ADDED:
        op.add_column(table, column)


def downgrade():
    for table, column in reversed(ADDED):
        op.execute(f"ALTER TABLE {table} DROP COLUMN {column.name}")
    op.drop_table("routes")
