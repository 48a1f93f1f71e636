"""Keep the numbers that are in a call with the office."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0004"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "numbers_on_line",
        sa.Column("number", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_numbers_on_line")),
    )


def downgrade():
    op.drop_table("numbers_on_line")
