"""The tables of this app. There is no way back: exports are recorded in logs."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    initial = True

    dependencies = [("ledger", "0001_initial")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.evidence.exports", "0001_export")),
        migrations.CreateModel(
            name="Export",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "export_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("export_id", models.UUIDField()),
                ("human", models.UUIDField()),
                ("actor", models.TextField()),
                ("request", models.BinaryField()),
                ("certificate", models.BinaryField()),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("state", models.TextField()),
                ("attempts", models.IntegerField()),
                ("due_at", models.DateTimeField()),
                ("cursor", models.TextField(null=True)),
                ("row_count", models.IntegerField()),
                ("part_count", models.IntegerField()),
            ],
            options={
                "db_table": "evidence_export",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="ExportPart",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "export_id",
                        "number",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("export_id", models.UUIDField()),
                ("number", models.IntegerField()),
                ("row_count", models.IntegerField()),
                ("sha256", models.BinaryField()),
                ("body", models.BinaryField()),
            ],
            options={
                "db_table": "evidence_export_part",
                "managed": False,
            },
        ),
    ]
