"""Keep which worker leads, and on which machine."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

COLUMNS = (("holder", 36), ("host", 80))


def upgrade():
    for name, length in COLUMNS:
        op.add_column("worker_state", sa.Column(name, sa.String(length), nullable=False, server_default=""))


def downgrade():
    for name, _length in COLUMNS:
        op.execute(f"ALTER TABLE worker_state DROP COLUMN {name}")
