"""Pieces of contents that are too large for one row."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    dependencies = [("vault", "0002_records")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.vault", "0003_pieces")),
        migrations.CreateModel(
            name="Piece",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "object_id",
                        "version",
                        "number",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("object_id", models.UUIDField()),
                ("version", models.IntegerField()),
                ("number", models.IntegerField()),
                ("sealed", models.BinaryField()),
            ],
            options={
                "db_table": "vault_piece",
                "managed": False,
            },
        ),
    ]
