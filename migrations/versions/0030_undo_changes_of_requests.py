"""Keep with a change of a request what it was before, so that the change can be undone."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("history", sa.Column("before", sa.JSON(), nullable=True))


def downgrade():
    op.execute('ALTER TABLE history DROP COLUMN "before"')
