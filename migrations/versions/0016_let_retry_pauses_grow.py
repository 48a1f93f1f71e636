"""Let the pauses between retries grow, and let requests be reopened."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

MODULES = sa.table(
    "modules", sa.column("id", sa.Integer), sa.column("retry_pause", sa.Integer), sa.column("retry_pauses", sa.JSON)
)
# Added by ALTER TABLE: on SQLite a table that is created again loses, with its old self, the rows that depend on it.


def upgrade():
    op.add_column("modules", sa.Column("retry_pauses", sa.JSON(), nullable=False, server_default="[300]"))
    # Existing modules treat a busy customer as before.
    op.add_column("modules", sa.Column("busy_pause", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("call_requests", sa.Column("reopened_at", sa.DateTime(timezone=True), nullable=True))
    _change_each(MODULES.c.retry_pause, lambda pause: {"retry_pauses": [pause]})
    op.execute("ALTER TABLE modules DROP COLUMN retry_pause")


def downgrade():
    op.add_column("modules", sa.Column("retry_pause", sa.Integer(), nullable=False, server_default="300"))
    _change_each(MODULES.c.retry_pauses, lambda pauses: {"retry_pause": pauses[0]})
    for table, column in (("call_requests", "reopened_at"), ("modules", "busy_pause"), ("modules", "retry_pauses")):
        op.execute(f"ALTER TABLE {table} DROP COLUMN {column}")


def _change_each(column, change):
    """Update each module by what `change` returns for its value of the column."""
    connection = op.get_bind()
    for id_, value in connection.execute(sa.select(MODULES.c.id, column)).all():
        connection.execute(MODULES.update().where(MODULES.c.id == id_).values(change(value)))
