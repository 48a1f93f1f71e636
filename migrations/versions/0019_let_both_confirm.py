"""Let agents confirm by answering, and ask customers before they are connected."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

# Added by ALTER TABLE: on SQLite a table that is created again loses, with its old self, the rows that depend on it.


def upgrade():
    op.add_column("modules", sa.Column("agent_confirms", sa.String(length=8), nullable=False, server_default="key"))
    op.add_column("modules", sa.Column("asks_customer", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("modules", sa.Column("office_name", sa.String(length=80), nullable=False, server_default=""))


def downgrade():
    for column in ("office_name", "asks_customer", "agent_confirms"):
        op.execute(f"ALTER TABLE modules DROP COLUMN {column}")
