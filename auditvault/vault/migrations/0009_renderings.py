"""Redacted renderings, and the numbers of what is replaced in them. No way back: results would be without their renderings."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    dependencies = [("vault", "0008_readable")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.vault", "0009_renderings")),
        migrations.CreateModel(
            name="Rendering",
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
                ("envelope", models.BinaryField()),
                ("made_at", models.DateTimeField()),
            ],
            options={"db_table": "vault_rendering", "managed": False},
        ),
        migrations.CreateModel(
            name="Placeholder",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "object_id",
                        "entity",
                        "tag",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("object_id", models.UUIDField()),
                ("entity", models.TextField()),
                ("tag", models.BinaryField()),
                ("subject_id", models.UUIDField()),
                ("number", models.IntegerField()),
            ],
            options={"db_table": "vault_placeholder", "managed": False},
        ),
        migrations.CreateModel(
            name="PresentDetector",
            fields=[
                ("tenant_id", models.UUIDField(primary_key=True, serialize=False)),
                ("detector", models.TextField()),
                ("since_at", models.DateTimeField()),
            ],
            options={"db_table": "vault_detector", "managed": False},
        ),
    ]
