"""Keep missed calls, and whose missed calls are listed."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "missed_call_rules",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("queue", sa.Boolean(), nullable=False),
        sa.Column("target", sa.String(length=80), nullable=False),
        sa.Column("module_id", sa.Integer(), nullable=True),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["module_id"], ["modules.id"], name=op.f("fk_missed_call_rules_module_id_modules"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_missed_call_rules")),
        sa.UniqueConstraint("queue", "target", name=op.f("uq_missed_call_rules_queue_target")),
    )
    op.create_table(
        "missed_calls",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("call_uniqueid", sa.String(length=80), nullable=False),
        sa.Column("queue", sa.Boolean(), nullable=False),
        sa.Column("target", sa.String(length=80), nullable=False),
        sa.Column("number", sa.String(length=24), nullable=False),
        sa.Column("caller_name", sa.String(length=80), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.String(length=12), nullable=False),
        sa.Column("outcome_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome_by", sa.String(length=80), nullable=False),
        sa.Column("request_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["call_requests.id"],
            name=op.f("fk_missed_calls_request_id_call_requests"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_missed_calls")),
        sa.UniqueConstraint("call_uniqueid", name=op.f("uq_missed_calls_call_uniqueid")),
    )
    for column in ("at", "number", "request_id"):
        op.create_index(op.f(f"ix_missed_calls_{column}"), "missed_calls", [column])


def downgrade():
    op.drop_table("missed_calls")
    op.drop_table("missed_call_rules")
