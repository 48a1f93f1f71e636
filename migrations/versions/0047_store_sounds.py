"""Store the sounds that cannot be made again. The worker and the panel that have the files fill the table."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "sounds",
        sa.Column("file", sa.String(200), primary_key=True),
        sa.Column("recording", sa.String(200), sa.ForeignKey("recordings.file", ondelete="CASCADE"), unique=True),
        sa.Column(
            "request_id", sa.Integer(), sa.ForeignKey("spoken_names.request_id", ondelete="CASCADE"), unique=True
        ),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
    )


def downgrade():
    op.drop_table("sounds")
