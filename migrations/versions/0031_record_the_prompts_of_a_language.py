"""Let recordings play the default texts of a language."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "prompt_recordings",
        sa.Column("language", sa.String(8), primary_key=True),
        sa.Column("key", sa.String(24), primary_key=True),
        sa.Column("file", sa.String(200), sa.ForeignKey("recordings.file"), nullable=False),
    )


def downgrade():
    op.drop_table("prompt_recordings")
