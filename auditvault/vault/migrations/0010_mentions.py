"""Who is mentioned in which content. Going back forgets it; it is found anew."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql

_REVERSE = """
DROP FUNCTION vault_note_mentions(uuid, uuid, integer, text[], bytea[]);
DROP TABLE vault_mention;
"""


class Migration(migrations.Migration):
    dependencies = [("vault", "0009_renderings")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.vault", "0010_mentions"), _REVERSE),
        migrations.CreateModel(
            name="Mention",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "object_id",
                        "kind",
                        "tag",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("object_id", models.UUIDField()),
                ("kind", models.TextField()),
                ("tag", models.BinaryField()),
            ],
            options={"db_table": "vault_mention", "managed": False},
        ),
    ]
