"""Find the next requests of a target by indexes, however many wait."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

INDEXES = {
    "turn": (
        ["queue", "target", "module_id", sa.text("priority DESC"), "first_called_at", "id"],
        "status = 'waiting' AND held_until IS NULL",
    ),
    "held": (["queue", "target", "held_until"], "status = 'waiting' AND held_until IS NOT NULL"),
    "never_free": (["queue", "target", "module_id"], "status = 'waiting' AND free_at IS NULL"),
    "call_now": (["status"], "status = 'waiting' AND call_now"),
}


def upgrade():
    op.drop_index("ix_attempts_started", table_name="attempts")
    op.create_index("ix_attempts_started", "attempts", ["started_at", "manual", "route", "dialled_at", "ended_at"])
    op.add_column("call_requests", sa.Column("held_until", sa.DateTime(timezone=True), nullable=True))
    for name, (columns, condition) in INDEXES.items():
        where = sa.text(condition)
        op.create_index(
            f"ix_call_requests_{name}", "call_requests", columns, sqlite_where=where, postgresql_where=where
        )


def downgrade():
    op.drop_index("ix_attempts_started", table_name="attempts")
    op.create_index("ix_attempts_started", "attempts", ["started_at"])
    for name in INDEXES:
        op.drop_index(f"ix_call_requests_{name}", table_name="call_requests")
    op.execute("ALTER TABLE call_requests DROP COLUMN held_until")
