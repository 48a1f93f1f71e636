"""Keep when a request was last registered again."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# Added by ALTER TABLE: on SQLite a table that is created again loses, with its old self, the rows that depend on it.
ADDED = (
    sa.Column("registered_again_at", sa.DateTime(timezone=True), nullable=True),
    sa.Column("again", sa.Boolean(), nullable=False, server_default=sa.false()),
)


def upgrade():
    for column in ADDED:
        op.add_column("call_requests", column)


def downgrade():
    for column in reversed(ADDED):
        op.execute(f"ALTER TABLE call_requests DROP COLUMN {column.name}")
