"""Runs, what they mean, and the one function that destroys what is due."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    dependencies = [
        ("evidence_anchors", "0001_initial"),
        ("ledger", "0002_cosignature"),
        ("privacy_holds", "0002_shared"),
        ("privacy_retention", "0001_initial"),
        ("vault_erasures", "0001_initial"),
    ]

    operations = [
        migrations.RunSQL(load_sql("auditvault.privacy.retention", "0002_run")),
        migrations.CreateModel(
            name="RetentionRun",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "run_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("run_id", models.UUIDField()),
                ("state", models.TextField()),
                ("paused_at", models.DateTimeField(null=True)),
                ("policy", models.BinaryField()),
                ("version", models.IntegerField()),
                ("as_of", models.DateField()),
                ("plan", models.BinaryField()),
                ("digest", models.BinaryField()),
                ("due", models.BigIntegerField()),
                ("shared", models.BigIntegerField()),
                ("started_at", models.DateTimeField()),
                ("begun_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("outcome", models.TextField(null=True)),
                ("reason", models.TextField(null=True)),
                ("destroyed", models.BigIntegerField(null=True)),
                ("held", models.BigIntegerField(null=True)),
                ("failed", models.BigIntegerField(null=True)),
                ("gone", models.BigIntegerField(null=True)),
                ("bytes", models.BigIntegerField(null=True)),
                ("remaining", models.BigIntegerField(null=True)),
                ("record_id", models.UUIDField(null=True)),
            ],
            options={"db_table": "retention_run", "managed": False},
        ),
        migrations.CreateModel(
            name="RetentionRunItem",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "run_id",
                        "object_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("run_id", models.UUIDField()),
                ("object_id", models.UUIDField()),
                ("state", models.TextField()),
                ("bytes", models.BigIntegerField()),
            ],
            options={"db_table": "retention_run_item", "managed": False},
        ),
    ]
