"""Let a module say what becomes of open requests when the office closes, and ring the customer first."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

# Added by ALTER TABLE: on SQLite a table that is created again loses, with its old self, the rows that depend on it.
CUSTOMER_FIRST = (("modules", "customer_first"), ("call_requests", "agent_first"))


def upgrade():
    op.add_column("modules", sa.Column("at_closing", sa.String(16), nullable=False, server_default="carry_over"))
    op.execute(sa.text("UPDATE modules SET at_closing = 'expire' WHERE NOT carry_over"))
    op.execute("ALTER TABLE modules DROP COLUMN carry_over")
    op.add_column("attempts", sa.Column("waited_at", sa.DateTime(timezone=True), nullable=True))
    for table, column in CUSTOMER_FIRST:
        op.add_column(table, sa.Column(column, sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade():
    for table, column in CUSTOMER_FIRST:
        op.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    op.execute("ALTER TABLE attempts DROP COLUMN waited_at")
    op.add_column("modules", sa.Column("carry_over", sa.Boolean(), nullable=False, server_default=sa.true()))
    modules = sa.table("modules", sa.column("carry_over", sa.Boolean), sa.column("at_closing", sa.String))
    op.execute(modules.update().where(modules.c.at_closing == "expire").values(carry_over=False))
    op.execute("ALTER TABLE modules DROP COLUMN at_closing")
