"""The root key that each region KEK is wrapped under."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    dependencies = [("keyring", "0001_initial")]

    operations = [
        migrations.RunSQL(
            load_sql("auditvault.vault.keyring", "0002_key_ref"),
            state_operations=[
                migrations.AddField("RegionKey", "key_ref", models.TextField(default="")),
            ],
        ),
    ]
