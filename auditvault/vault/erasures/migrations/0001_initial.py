"""The tables of this app. There is no way back: what was erased is not forgotten."""

from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    initial = True

    dependencies = [("ledger", "0001_initial"), ("vault", "0002_records")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.vault.erasures", "0001_erasure")),
        migrations.CreateModel(
            name="Erasure",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "erasure_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("erasure_id", models.UUIDField()),
                ("reference", models.UUIDField()),
                ("subject_ids", ArrayField(base_field=models.UUIDField())),
                ("begun_at", models.DateTimeField()),
                ("idx", models.BigIntegerField(null=True, unique=True)),
                ("hash", models.BinaryField(null=True)),
                ("done_at", models.DateTimeField(null=True)),
            ],
            options={"db_table": "vault_erasure", "managed": False},
        ),
        migrations.CreateModel(
            name="ErasureState",
            fields=[
                ("only_row", models.BooleanField(default=True, primary_key=True, serialize=False)),
                ("idx", models.BigIntegerField()),
                ("hash", models.BinaryField()),
                ("pending_since", models.DateTimeField(null=True)),
                ("pending_reason", models.TextField(null=True)),
            ],
            options={"db_table": "erasure_state", "managed": False},
        ),
    ]
