"""Tell people what happens by e-mail, and send them a summary."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade():
    # Added by ALTER TABLE: on SQLite a table that is created again loses the rows that depend on it.
    for column in (
        sa.Column("channel", sa.String(8), nullable=False, server_default="http"),
        sa.Column("language", sa.String(8), nullable=False, server_default=""),
        sa.Column("summary", sa.String(8), nullable=False, server_default="none"),
        sa.Column("summary_hour", sa.Integer(), nullable=False, server_default="8"),
        sa.Column("summary_day", sa.Date()),
    ):
        op.add_column("webhooks", column)


def downgrade():
    op.execute("DELETE FROM webhook_messages WHERE webhook_id IN (SELECT id FROM webhooks WHERE channel <> 'http')")
    op.execute("DELETE FROM webhooks WHERE channel <> 'http'")
    for name in ("channel", "language", "summary", "summary_hour", "summary_day"):
        op.execute(f"ALTER TABLE webhooks DROP COLUMN {name}")
