"""The tables of this app. There is no way back: keys that were destroyed are not made again."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    initial = True

    dependencies = [("keyring", "0001_initial")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.vault.keyring.holds", "0001_hold")),
        migrations.CreateModel(
            name="Hold",
            fields=[
                ("hold_id", models.UUIDField(primary_key=True, serialize=False)),
                ("tenant_id", models.UUIDField()),
                ("subject_id", models.UUIDField(null=True)),
                ("key_id", models.UUIDField(null=True)),
                ("reference", models.UUIDField()),
                ("placed_at", models.DateTimeField()),
            ],
            options={"db_table": "keyring_hold", "managed": False},
        ),
        migrations.CreateModel(
            name="Destruction",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "subject_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("subject_id", models.UUIDField()),
                ("erasure_id", models.UUIDField()),
                ("begun_at", models.DateTimeField()),
                ("destroyed_at", models.DateTimeField(null=True)),
            ],
            options={"db_table": "keyring_destruction", "managed": False},
        ),
        migrations.CreateModel(
            name="KeyringErasureState",
            fields=[
                ("only_row", models.BooleanField(default=True, primary_key=True, serialize=False)),
                ("idx", models.BigIntegerField()),
                ("hash", models.BinaryField()),
            ],
            options={"db_table": "keyring_erasure_state", "managed": False},
        ),
    ]
