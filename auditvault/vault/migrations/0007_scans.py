"""Results of scans, which go with their objects. Going back forgets them; they are found anew."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql

_REVERSE = """
DROP FUNCTION vault_settle_scan(uuid, uuid, integer, text, bytea);
DROP FUNCTION vault_claim_scans(text, uuid, timestamptz, integer, interval);
DROP TABLE vault_scan;
"""


class Migration(migrations.Migration):
    dependencies = [("vault", "0006_rotation")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.vault", "0007_scans"), _REVERSE),
        migrations.CreateModel(
            name="Scan",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "object_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("object_id", models.UUIDField()),
                ("version", models.IntegerField()),
                ("detector", models.TextField()),
                ("state", models.TextField()),
                ("attempts", models.IntegerField()),
                ("claim", models.UUIDField(null=True)),
                ("claimed_until", models.DateTimeField(null=True)),
                ("code", models.TextField(null=True)),
                ("envelope", models.BinaryField(null=True)),
                ("settled_at", models.DateTimeField(null=True)),
            ],
            options={"db_table": "vault_scan", "managed": False},
        ),
    ]
