"""What witnesses said of checkpoints."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    dependencies = [("ledger", "0001_initial")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.ledger", "0003_cosignature")),
        migrations.CreateModel(
            name="StoredCosignature",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "log_id",
                        "witness",
                        "size",
                        "cosigned_at",
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
                ("witness", models.BinaryField()),
                ("cosigned_at", models.DateTimeField()),
                ("line", models.TextField()),
            ],
            options={
                "db_table": "ledger_cosignature",
                "managed": False,
            },
        ),
    ]
