"""What a log says about the entries that it gives up."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    dependencies = [("ledger", "0002_cosignature")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.ledger", "0004_prune")),
        migrations.CreateModel(
            name="StoredPrune",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "log_id",
                        "previous",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("log_id", models.IntegerField()),
                ("previous", models.BigIntegerField()),
                ("minimum", models.BigIntegerField()),
                ("idx", models.BigIntegerField()),
                ("record_id", models.UUIDField()),
                ("last_at", models.DateTimeField()),
                ("cutoff", models.DateTimeField()),
                ("entry", models.BinaryField()),
                ("opening", models.BinaryField()),
                ("header", models.BinaryField()),
            ],
            options={
                "db_table": "ledger_prune",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Pruned",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "log_id",
                        "minimum",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("log_id", models.IntegerField()),
                ("minimum", models.BigIntegerField()),
                ("last_at", models.DateTimeField()),
                ("pruned_at", models.DateTimeField()),
                ("entries", models.BigIntegerField()),
                ("headers", models.BigIntegerField()),
                ("size_bytes", models.BigIntegerField()),
            ],
            options={
                "db_table": "ledger_pruned",
                "managed": False,
            },
        ),
    ]
