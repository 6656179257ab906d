"""Epochs turn. There is no way back: a key that was destroyed is not un-destroyed."""

from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    dependencies = [("keyring", "0002_key_ref")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.vault.keyring", "0003_turn")),
        migrations.CreateModel(
            name="Turn",
            fields=[
                ("to_epoch", models.IntegerField(primary_key=True, serialize=False)),
                ("state", models.TextField()),
                ("old_refs", ArrayField(models.TextField())),
                ("old_keys", ArrayField(models.UUIDField())),
                ("subject_keys", models.BigIntegerField(default=0)),
                ("tag_secrets", models.BigIntegerField(default=0)),
                ("tenant_keys", models.BigIntegerField(default=0)),
                ("started_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("past_recall_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
            ],
            options={"db_table": "keyring_turn", "managed": False},
        ),
    ]
