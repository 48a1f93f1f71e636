"""Have several exchanges, and say which of them users may see."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade():
    exchanges = op.create_table(
        "exchanges",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("code", sa.String(20), nullable=False, unique=True),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
    )
    op.execute(sa.insert(exchanges).values(code="main", name="", created_at=sa.func.now()))
    op.create_table(
        "user_exchanges",
        sa.Column("user_id", sa.Integer(), sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("exchange_id", sa.Integer(), sa.ForeignKey("exchanges.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("extensions", sa.JSON(), nullable=False),
    )
    # Added by ALTER TABLE: on SQLite a table that is created again loses the rows that depend on it.
    op.add_column("users", sa.Column("sees_first", sa.Boolean(), nullable=False, server_default=sa.true()))


def downgrade():
    further = op.get_bind().scalar(sa.text("SELECT count(*) FROM exchanges WHERE code <> 'main'"))
    if further:
        raise RuntimeError("There are further exchanges, which an older version does not know.")
    op.execute("ALTER TABLE users DROP COLUMN sees_first")
    op.drop_table("user_exchanges")
    op.drop_table("exchanges")
