"""Keep how long an agent is left alone for one request, how often nothing rang, and when "call now" was asked for."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Added by ALTER TABLE: on SQLite a table that is created again loses, with its old self, the rows that depend on it.
ADDED = (
    ("call_requests", sa.Column("call_now_at", sa.DateTime(timezone=True), nullable=True)),
    ("attempts", sa.Column("request_pause_until", sa.DateTime(timezone=True), nullable=True)),
    ("attempts", sa.Column("repeats", sa.Integer(), nullable=False, server_default="1")),
    ("attempts", sa.Column("since", sa.DateTime(timezone=True), nullable=True)),
)
INDEXES = (("ix_attempts_request_pause", ["request_pause_until"]), ("ix_attempts_agent", ["agent", "started_at"]))


def upgrade():
    for table, column in ADDED:
        op.add_column(table, column)
    for name, columns in INDEXES:
        op.create_index(name, "attempts", columns)


def downgrade():
    for name, _ in INDEXES:
        op.drop_index(name, "attempts")
    for table, column in reversed(ADDED):
        op.execute(f"ALTER TABLE {table} DROP COLUMN {column.name}")
