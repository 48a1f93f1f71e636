"""Keep lists of numbers, count what is refused, and keep which installations ran without a FastAGI secret."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
INDEXES = (
    ("ix_call_requests_caller", "call_requests", ["caller_number", "registered_at"]),
    ("ix_attempts_started", "attempts", ["started_at"]),
)


def upgrade():
    op.create_table(
        "listed_numbers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("first", sa.String(length=24), nullable=False),
        sa.Column("last", sa.String(length=24), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("created_by", sa.String(length=80), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_listed_numbers")),
        sa.UniqueConstraint("first", "last", name=op.f("uq_listed_numbers_first_last")),
    )
    op.create_table(
        "refused_registrations",
        sa.Column("hour", MOMENT, nullable=False),
        sa.Column("reason", sa.String(length=16), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "reason", name=op.f("pk_refused_registrations")),
    )
    for name, table, columns in INDEXES:
        op.create_index(name, table, columns)
    if op.get_bind().scalar(sa.text("SELECT count(*) FROM modules")):
        # Asterisk may run the dialplan without the secret until it is reloaded.
        op.execute("INSERT INTO settings (name, value) VALUES ('agi_upgrade', 'old_dialplan')")


def downgrade():
    op.execute("DELETE FROM settings WHERE name = 'agi_upgrade'")
    for name, table, _ in INDEXES:
        op.drop_index(name, table)
    op.drop_table("refused_registrations")
    op.drop_table("listed_numbers")
