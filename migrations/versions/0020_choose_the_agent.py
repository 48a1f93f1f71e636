"""Keep since when extensions are idle, who talked with a number last, and how modules choose their agents."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

# Added by ALTER TABLE: on SQLite a table that is created again loses, with its old self, the rows that depend on it.
ADDED = (
    ("lines", sa.Column("idle_since", sa.DateTime(timezone=True), nullable=True)),
    ("modules", sa.Column("preferred_for", sa.Integer(), nullable=False, server_default="0")),
    ("modules", sa.Column("fallback_after", sa.Integer(), nullable=False, server_default="0")),
    ("modules", sa.Column("fallback_kind", sa.String(length=16), nullable=False, server_default="")),
    ("modules", sa.Column("fallback_code", sa.String(length=80), nullable=False, server_default="")),
    ("call_requests", sa.Column("fell_back", sa.Boolean(), nullable=False, server_default=sa.false())),
    ("call_requests", sa.Column("preferred", sa.String(length=20), nullable=False, server_default="")),
    ("call_requests", sa.Column("held_for", sa.String(length=20), nullable=True)),
    ("modules", sa.Column("agent_order", sa.String(length=16), nullable=False, server_default="longest_idle")),
)


INDEXES = {
    "preferred": (
        ["held_for", "module_id", sa.text("priority DESC"), "first_called_at", "id"],
        "status = 'waiting' AND held_until IS NOT NULL AND held_for IS NOT NULL",
    ),
    "fell_back": (
        ["module_id", sa.text("priority DESC"), "first_called_at", "id"],
        "status = 'waiting' AND held_until IS NULL AND fell_back",
    ),
    "fell_back_held": (["module_id", "held_until"], "status = 'waiting' AND held_until IS NOT NULL AND fell_back"),
}


def upgrade():
    op.create_table(
        "last_talks",
        sa.Column("number", sa.String(length=40), nullable=False),
        sa.Column("extension", sa.String(length=20), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_last_talks")),
    )
    op.create_index(op.f("ix_last_talks_at"), "last_talks", ["at"])
    for table, column in ADDED:
        op.add_column(table, column)
    for name, (columns, condition) in INDEXES.items():
        where = sa.text(condition)
        op.create_index(
            f"ix_call_requests_{name}", "call_requests", columns, sqlite_where=where, postgresql_where=where
        )


def downgrade():
    for name in INDEXES:
        op.drop_index(f"ix_call_requests_{name}", table_name="call_requests")
    op.drop_table("last_talks")
    for table, column in ADDED:
        op.execute(f"ALTER TABLE {table} DROP COLUMN {column.name}")
