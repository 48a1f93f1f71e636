"""Keep from how many waiting callers for each agent on a module is offered to those who come."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade():
    # Added by ALTER TABLE: on SQLite a table that is created again loses the rows that depend on it.
    op.add_column("modules", sa.Column("offer_callers_per_agent", sa.Integer(), nullable=False, server_default="0"))


def downgrade():
    op.execute("ALTER TABLE modules DROP COLUMN offer_callers_per_agent")
