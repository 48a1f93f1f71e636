"""Keep the former codes of modules, and what the PBX has: wrap-up times of queues, destinations that are modules."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "former_codes",
        sa.Column("code", sa.String(length=20), nullable=False),
        sa.Column("module_id", sa.Integer(), nullable=True),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("error_kind", sa.String(length=16), nullable=False),
        sa.Column("error_code", sa.String(length=80), nullable=False),
        sa.ForeignKeyConstraint(
            ["module_id"], ["modules.id"], name=op.f("fk_former_codes_module_id_modules"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_former_codes")),
    )
    op.create_table(
        "pbx_destinations",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("owner", sa.String(length=80), nullable=False),
        sa.Column("situation", sa.String(length=16), nullable=False),
        sa.Column("code", sa.String(length=20), nullable=False),
        sa.PrimaryKeyConstraint("kind", "owner", "situation", name=op.f("pk_pbx_destinations")),
    )
    op.add_column("queues", sa.Column("wrapup", sa.Integer(), nullable=True))
    op.add_column("call_requests", sa.Column("came_by", sa.String(length=12), server_default="", nullable=False))


def downgrade():
    for table, column in (("queues", "wrapup"), ("call_requests", "came_by")):
        op.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    op.drop_table("pbx_destinations")
    op.drop_table("former_codes")
