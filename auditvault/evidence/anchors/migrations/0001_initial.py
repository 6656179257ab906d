"""The tables of this app. There is no way back: a stamp is not un-made."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    initial = True

    dependencies = [("ledger", "0001_initial")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.evidence.anchors", "0001_timestamp")),
        migrations.CreateModel(
            name="StampedCheckpoint",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "log_id",
                        "size",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("log_id", models.IntegerField()),
                ("size", models.BigIntegerField()),
                ("timestamp_id", models.UUIDField()),
                ("leaf_index", models.BigIntegerField()),
            ],
            options={
                "db_table": "evidence_stamped",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="StoredTimestamp",
            fields=[
                ("timestamp_id", models.UUIDField(primary_key=True, serialize=False)),
                ("asked_at", models.DateTimeField()),
                ("gen_time", models.DateTimeField()),
                ("stored_at", models.DateTimeField()),
                ("size", models.BigIntegerField()),
                ("root", models.BinaryField()),
                ("leaves", models.BinaryField()),
                ("response", models.BinaryField()),
            ],
            options={
                "db_table": "evidence_timestamp",
                "managed": False,
            },
        ),
    ]
