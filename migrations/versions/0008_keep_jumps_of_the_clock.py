"""Keep when the machine was started, and the last jump of its clock."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
# Added by ALTER TABLE: on SQLite a table that is created again loses, with its old self, the rows that depend on it.
ADDED = (
    sa.Column("boot_id", sa.String(length=40), nullable=False, server_default=""),
    sa.Column("booted_at", MOMENT, nullable=True),
    sa.Column("jumped_at", MOMENT, nullable=True),
    sa.Column("jump_seconds", sa.Integer(), nullable=False, server_default="0"),
)


def upgrade():
    for column in ADDED:
        op.add_column("worker_state", column)


def downgrade():
    for column in reversed(ADDED):
        op.execute(f"ALTER TABLE worker_state DROP COLUMN {column.name}")
