"""Keep whether a module is offered to the callers who wait in its queue: by which key, and when."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

# Added by ALTER TABLE: on SQLite a table that is created again loses, with its old self, the rows that depend on it.
ADDED = (
    sa.Column("offer_key", sa.String(length=1), nullable=False, server_default=""),
    sa.Column("offer_after", sa.Integer(), nullable=False, server_default="60"),
    sa.Column("offer_callers", sa.Integer(), nullable=False, server_default="0"),
)


def upgrade():
    for column in ADDED:
        op.add_column("modules", column)


def downgrade():
    for column in ADDED:
        op.execute(f"ALTER TABLE modules DROP COLUMN {column.name}")
