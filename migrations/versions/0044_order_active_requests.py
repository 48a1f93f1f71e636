"""Index the active requests in the order of service: a page of them is read without reading the others."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None

ACTIVE = sa.text("status IN ('connected', 'dialling', 'uncertain', 'waiting')")


def upgrade():
    op.create_index(
        "ix_call_requests_order",
        "call_requests",
        [
            sa.text("call_now DESC"),
            sa.text("priority DESC"),
            "first_called_at",
            "id",
            "status",
            "queue",
            "target",
            "module_id",
        ],
        sqlite_where=ACTIVE,
        postgresql_where=ACTIVE,
    )


def downgrade():
    op.drop_index("ix_call_requests_order", "call_requests")
