"""The tables of this app. There is no way back: a log is not un-made."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.RunSQL(load_sql("auditvault.ledger", "0001_foundation")),
        migrations.RunSQL(load_sql("auditvault.ledger", "0002_ledger")),
        migrations.CreateModel(
            name="Head",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "log_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("log_id", models.IntegerField()),
                ("size", models.BigIntegerField()),
                ("range", models.BinaryField()),
                ("last_leaf", models.BinaryField()),
                ("last_at", models.DateTimeField()),
            ],
            options={
                "db_table": "ledger_head",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Log",
            fields=[
                ("log_id", models.IntegerField(primary_key=True, serialize=False)),
                ("tenant_id", models.UUIDField()),
                ("kind", models.TextField()),
                ("origin", models.TextField(unique=True)),
                ("partition_entries", models.BigIntegerField()),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "db_table": "ledger_log",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="ScheduledJob",
            fields=[
                ("name", models.TextField(primary_key=True, serialize=False)),
                ("interval_seconds", models.IntegerField()),
                ("due_at", models.DateTimeField()),
                ("started_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                ("outcome", models.TextField(null=True)),
                ("detail", models.JSONField(null=True)),
            ],
            options={
                "db_table": "scheduled_job",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="StoredCheckpoint",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "log_id",
                        "size",
                        "signed_at",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("log_id", models.IntegerField()),
                ("size", models.BigIntegerField()),
                ("root", models.BinaryField()),
                ("note", models.TextField()),
                ("signed_at", models.DateTimeField()),
            ],
            options={
                "db_table": "ledger_checkpoint",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="StoredEntry",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "log_id",
                        "idx",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("log_id", models.IntegerField()),
                ("idx", models.BigIntegerField()),
                ("record_id", models.UUIDField()),
                ("leaf_hash", models.BinaryField()),
                ("entry", models.BinaryField()),
            ],
            options={
                "db_table": "ledger_entry",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Tile",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "log_id",
                        "level",
                        "n",
                        "width",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("log_id", models.IntegerField()),
                ("level", models.SmallIntegerField()),
                ("n", models.BigIntegerField()),
                ("width", models.SmallIntegerField()),
                ("hashes", models.BinaryField()),
                ("root", models.BinaryField()),
            ],
            options={
                "db_table": "ledger_tile",
                "managed": False,
            },
        ),
    ]
