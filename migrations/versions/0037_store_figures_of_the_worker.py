"""Store what the worker measures of itself for a monitoring system, and how often old requests were deleted.

Notes of old requests are found by an index.
"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("worker_state", sa.Column("deletions", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("worker_state", sa.Column("figures", sa.Text(), nullable=False, server_default=""))
    noted = {"sqlite_where": sa.text("note <> ''"), "postgresql_where": sa.text("note <> ''")}
    op.create_index("ix_call_requests_noted", "call_requests", ["done_at"], **noted)


def downgrade():
    op.drop_index("ix_call_requests_noted", "call_requests")
    op.drop_column("worker_state", "figures")
    op.drop_column("worker_state", "deletions")
