"""A subject's key gets new versions. There is no way back: a key that was destroyed is not un-destroyed."""

from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    dependencies = [("keyring", "0003_turn")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.vault.keyring", "0004_rotation")),
        migrations.CreateModel(
            name="Rotation",
            fields=[
                ("rotation_id", models.UUIDField(primary_key=True, serialize=False)),
                ("new_key_id", models.UUIDField()),
                ("old_key_ids", ArrayField(models.UUIDField())),
                ("state", models.TextField()),
                ("rewrapped", models.BigIntegerField(default=0)),
                ("started_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(null=True)),
            ],
            options={"db_table": "keyring_rotation", "managed": False},
        ),
    ]
