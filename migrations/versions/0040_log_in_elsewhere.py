"""Keep who users are at a provider or in a directory, and where a session was logged in."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "user_identities",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("user_id", sa.Integer(), sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        sa.Column("source", sa.String(8), nullable=False),
        sa.Column("issuer", sa.String(255), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("login", sa.String(80), nullable=False),
        sa.Column("linked_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("issuer", "subject", name="uq_user_identities_issuer_subject"),
        sa.UniqueConstraint("user_id", "issuer", name="uq_user_identities_user_id_issuer"),
    )
    op.add_column("user_sessions", sa.Column("source", sa.String(8), nullable=False, server_default=""))
    op.add_column("user_sessions", sa.Column("id_token", sa.Text(), nullable=False, server_default=""))


def downgrade():
    op.execute("ALTER TABLE user_sessions DROP COLUMN id_token")
    op.execute("ALTER TABLE user_sessions DROP COLUMN source")
    op.drop_table("user_identities")
