"""Let a module take requests while the worker is down, and remember what was registered of them."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("modules", sa.Column("keeps_while_down", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "kept_registrations",
        sa.Column("key", sa.String(200), primary_key=True),
        sa.Column("called_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("refused", sa.String(16), nullable=False),
    )
    op.create_index(op.f("ix_kept_registrations_stored_at"), "kept_registrations", ["stored_at"])


def downgrade():
    op.drop_table("kept_registrations")
    op.execute("ALTER TABLE modules DROP COLUMN keeps_while_down")
