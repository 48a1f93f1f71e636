"""Keep recordings, calls of the studio, users' extensions and a log."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
# Added by ALTER TABLE. If Alembic recreates a table on SQLite, it drops the old one, and rows that reference it go too.
ADDED = (
    ("call_requests", sa.Column("note", sa.Text(), nullable=False, server_default="")),
    ("call_requests", sa.Column("done_by", sa.String(length=80), nullable=False, server_default="")),
    ("call_requests", sa.Column("reached_at", MOMENT, nullable=True)),
    ("history", sa.Column("version", sa.Integer(), nullable=False, server_default="0")),
    ("modules", sa.Column("voice", sa.String(length=80), nullable=False, server_default="")),
    ("modules", sa.Column("rate", sa.Integer(), nullable=True)),
    ("modules", sa.Column("pitch", sa.Integer(), nullable=True)),
    ("users", sa.Column("theme", sa.String(length=8), nullable=False, server_default="auto")),
    ("users", sa.Column("generation", sa.Integer(), nullable=False, server_default="0")),
    ("users", sa.Column("extensions", sa.JSON(), nullable=False, server_default="[]")),
)
INDEXES = {
    "ix_call_requests_done_at": ["done_at"],
    "ix_call_requests_number": ["number"],
    "ix_call_requests_done_by": ["done_by", "registered_at"],
    "ix_call_requests_target": ["target", "registered_at"],
    "ix_call_requests_status": ["status", "registered_at"],
    "ix_call_requests_module": ["module_id", "registered_at"],
}


def upgrade():
    op.create_table(
        "log_entries",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=120), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log_entries")),
    )
    op.create_index(op.f("ix_log_entries_at"), "log_entries", ["at"], unique=False)
    op.create_table(
        "recordings",
        sa.Column("file", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("original_name", sa.String(length=200), nullable=False),
        sa.Column("origin", sa.String(length=8), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("loudness", sa.Double(), nullable=True),
        sa.Column("created_by", sa.String(length=80), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("file", name=op.f("pk_recordings")),
    )
    op.create_table(
        "digit_recordings",
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("digit", sa.String(length=1), nullable=False),
        sa.Column("file", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["file"], ["recordings.file"], name=op.f("fk_digit_recordings_file_recordings")),
        sa.PrimaryKeyConstraint("language", "digit", name=op.f("pk_digit_recordings")),
    )
    op.create_table(
        "studio_calls",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("extension", sa.String(length=20), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.String(length=200), nullable=False),
        sa.Column("file", sa.String(length=200), nullable=True),
        sa.Column("created_by", sa.String(length=80), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["file"], ["recordings.file"], name=op.f("fk_studio_calls_file_recordings"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_studio_calls")),
    )
    for table, column in ADDED:
        op.add_column(table, column)
    with op.batch_alter_table("commands", schema=None) as batch_op:
        batch_op.alter_column("result", existing_type=sa.String(length=200), type_=sa.Text(), existing_nullable=False)
    for name, columns in INDEXES.items():
        op.create_index(name, "call_requests", columns, unique=False)
    op.execute(
        """
        UPDATE call_requests
        SET reached_at = COALESCE((SELECT MIN(connected_at) FROM attempts WHERE request_id = call_requests.id), done_at)
        WHERE status = 'done'
        """
    )
    with op.batch_alter_table("prompts", schema=None) as batch_op:
        batch_op.alter_column("file", existing_type=sa.String(length=200), nullable=True)
    op.execute("UPDATE prompts SET file = NULL WHERE file = ''")
    op.execute(
        """
        INSERT INTO recordings (file, name, original_name, origin, created_by, created_at)
        SELECT file, SUBSTR(COALESCE(NULLIF(MAX(original_name), ''), MAX(key)), 1, 80), MAX(original_name), 'upload',
               '', CURRENT_TIMESTAMP
        FROM prompts WHERE file IS NOT NULL GROUP BY file
        """
    )
    with op.batch_alter_table("prompts", schema=None) as batch_op:
        batch_op.create_foreign_key(op.f("fk_prompts_file_recordings"), "recordings", ["file"], ["file"])


def downgrade():
    op.execute("UPDATE commands SET result = SUBSTR(result, 1, 200)")
    with op.batch_alter_table("commands", schema=None) as batch_op:
        batch_op.alter_column("result", existing_type=sa.Text(), type_=sa.String(length=200), existing_nullable=False)
    with op.batch_alter_table("prompts", schema=None) as batch_op:
        batch_op.drop_constraint(op.f("fk_prompts_file_recordings"), type_="foreignkey")
    op.execute("UPDATE prompts SET file = '' WHERE file IS NULL")
    with op.batch_alter_table("prompts", schema=None) as batch_op:
        batch_op.alter_column("file", existing_type=sa.String(length=200), nullable=False)
    for name in reversed(INDEXES):
        op.drop_index(name, table_name="call_requests")
    for table, column in reversed(ADDED):
        op.execute(f"ALTER TABLE {table} DROP COLUMN {column.name}")
    for table in ("studio_calls", "digit_recordings", "recordings"):
        op.drop_table(table)
    op.drop_index(op.f("ix_log_entries_at"), table_name="log_entries")
    op.drop_table("log_entries")
