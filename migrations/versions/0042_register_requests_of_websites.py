"""Register requests of websites, let tokens of the API expire, and count across processes."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade():
    op.create_table(
        "counts",
        sa.Column("name", sa.String(120), primary_key=True),
        sa.Column("until", MOMENT, primary_key=True),
        sa.Column("hits", sa.Integer(), nullable=False),
    )
    op.create_index(op.f("ix_counts_until"), "counts", ["until"])
    op.create_table(
        "website_forms",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(80), nullable=False, unique=True),
        sa.Column("key", sa.String(32), nullable=False, unique=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("module_id", sa.Integer(), sa.ForeignKey("modules.id", ondelete="SET NULL")),
        sa.Column("target", sa.String(80), nullable=False),
        sa.Column("origins", sa.JSON(), nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("asks_name", sa.Boolean(), nullable=False),
        sa.Column("offers_times", sa.Boolean(), nullable=False),
        sa.Column("privacy", sa.Text(), nullable=False),
        sa.Column("daily_limit", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.String(80), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sqlite_autoincrement=True,  # no id is given twice
    )
    op.create_index(op.f("ix_website_forms_module_id"), "website_forms", ["module_id"])
    # Added by ALTER TABLE: on SQLite a table that is created again loses the rows that depend on it.
    op.add_column("api_tokens", sa.Column("expires_at", MOMENT))
    op.add_column("call_requests", sa.Column("website", sa.String(80), nullable=False, server_default=""))


def downgrade():
    op.execute("ALTER TABLE call_requests DROP COLUMN website")
    op.execute("ALTER TABLE api_tokens DROP COLUMN expires_at")
    op.drop_table("website_forms")
    op.drop_table("counts")
