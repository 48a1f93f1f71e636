"""Store what the worker measures of itself for a monitoring system, and how often old requests were deleted."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0036"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("worker_state", sa.Column("deletions", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("worker_state", sa.Column("figures", sa.Text(), nullable=False, server_default=""))


def downgrade():
    op.drop_column("worker_state", "figures")
    op.drop_column("worker_state", "deletions")
