"""The table of this app. The way back forgets progress, which costs one round of comparing."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    initial = True

    dependencies = [("ledger", "0001_initial")]

    operations = [
        migrations.RunSQL(
            load_sql("auditvault.evidence.copies", "0001_copies"),
            "DROP FUNCTION evidence_copied_until(bytea); DROP FUNCTION evidence_move_copy(integer,"
            " bytea, bigint, text, bigint, text, timestamptz); DROP TABLE evidence_copy",
        ),
        migrations.CreateModel(
            name="CopyProgress",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "log_id",
                        "store",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("log_id", models.IntegerField()),
                ("store", models.BinaryField()),
                ("size", models.BigIntegerField()),
                ("checkpoint", models.TextField(null=True)),
                ("signed_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "evidence_copy",
                "managed": False,
            },
        ),
    ]
