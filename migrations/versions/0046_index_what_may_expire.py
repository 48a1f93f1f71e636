"""Index the requests that may have expired: most that wait have not, and need not be looked at."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0046"
down_revision = "0044"
branch_labels = None
depends_on = None

MAY_EXPIRE = sa.text("status IN ('uncertain', 'waiting')")


def upgrade():
    op.create_index(
        "ix_call_requests_expiry",
        "call_requests",
        ["module_id", "registered_at", "customer_attempts"],
        sqlite_where=MAY_EXPIRE,
        postgresql_where=MAY_EXPIRE,
    )


def downgrade():
    op.drop_index("ix_call_requests_expiry", "call_requests")
