"""Keep the office's contacts, the names that another program knows, and who opens the screen pop by itself."""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade():
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "contacts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("organisation", sa.String(length=120), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("search_key", sa.Text(), nullable=False),
        sa.Column("updated_by", sa.String(length=80), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("updated_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_contacts"),
    )
    op.create_index("ix_contacts_search_key", "contacts", ["search_key"])
    op.create_table(
        "contact_numbers",
        sa.Column("number", sa.String(length=24), nullable=False),
        sa.Column("contact_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_contact_numbers"),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name="fk_contact_numbers_contact_id_contacts", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_contact_numbers_contact_id", "contact_numbers", ["contact_id"])
    op.create_table(
        "contact_imports",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("file_name", sa.String(length=200), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_contact_imports"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_contact_imports_user_id_users", ondelete="CASCADE"),
    )
    op.create_table(
        "looked_up_names",
        sa.Column("number", sa.String(length=24), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("asked_at", moment, nullable=False),
        sa.Column("failure", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_looked_up_names"),
    )
    op.create_index("ix_looked_up_names_asked_at", "looked_up_names", ["asked_at"])
    # Added by ALTER TABLE: on SQLite a table that is created again loses the rows that depend on it.
    op.add_column("users", sa.Column("opens_screen_pop", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade():
    op.execute("ALTER TABLE users DROP COLUMN opens_screen_pop")
    for table in ("looked_up_names", "contact_imports", "contact_numbers", "contacts"):
        op.drop_table(table)
