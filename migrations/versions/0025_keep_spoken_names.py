"""Keep the names that callers say, and where they are asked for them."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade():
    # By ALTER TABLE: on SQLite a table that is created again loses, with its old self, the rows that depend on it.
    op.add_column("modules", sa.Column("asks_name", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "spoken_names",
        sa.Column("request_id", sa.Integer(), nullable=False),
        sa.Column("file", sa.String(length=60), nullable=False),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["call_requests.id"],
            name=op.f("fk_spoken_names_request_id_call_requests"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_spoken_names")),
        sa.UniqueConstraint("file", name=op.f("uq_spoken_names_file")),
    )


def downgrade():
    op.drop_table("spoken_names")
    op.execute("ALTER TABLE modules DROP COLUMN asks_name")
