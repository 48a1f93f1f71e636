"""Tell other programs what happens, by webhooks."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade():
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(80), nullable=False, unique=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("inside", sa.Boolean(), nullable=False),
        sa.Column("header_name", sa.String(60), nullable=False),
        sa.Column("header_value", sa.Text(), nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.Column("modules", sa.Text(), nullable=False),
        sa.Column("body_format", sa.String(8), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("to_customer", sa.Boolean(), nullable=False),
        sa.Column("recipient", sa.String(120), nullable=False),
        sa.Column("lasts", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.String(80), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", MOMENT),
        sa.Column("next_at", MOMENT),
        sa.Column("paused_at", MOMENT),
        sa.Column("sent_at", MOMENT),
    )
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "webhook_messages",
        sa.Column("id", number, primary_key=True),
        sa.Column("webhook_id", sa.Integer(), sa.ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
        sa.Column("uid", sa.String(40), nullable=False),
        sa.Column("event", sa.String(24), nullable=False),
        sa.Column("request_id", sa.Integer()),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("agent", sa.String(20), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("next_at", MOMENT, nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("tried_at", MOMENT),
        sa.Column("took", sa.Integer(), nullable=False),
        sa.Column("result", sa.String(16), nullable=False),
        sa.Column("reply", sa.String(200), nullable=False),
        sa.UniqueConstraint("webhook_id", "uid"),
    )
    op.create_index(op.f("ix_webhook_messages_since"), "webhook_messages", ["since"])
    op.create_index("ix_webhook_messages_log", "webhook_messages", ["webhook_id", "id"])
    for name, rows in (
        ("open", "state = 'waiting'"),
        ("tests", "state = 'waiting' AND event = 'test'"),
        ("failed", "state = 'failed'"),
    ):
        condition = sa.text(rows)
        op.create_index(
            f"ix_webhook_messages_{name}",
            "webhook_messages",
            ["webhook_id", "id"],
            sqlite_where=condition,
            postgresql_where=condition,
        )


def downgrade():
    for name in ("webhook_messages", "webhooks"):
        op.drop_table(name)
