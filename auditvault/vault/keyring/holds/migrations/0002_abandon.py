"""An erasure that its region refused leaves no note behind."""

from django.db import migrations

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    dependencies = [("keyring_holds", "0001_initial")]

    operations = [
        migrations.RunSQL(
            load_sql("auditvault.vault.keyring.holds", "0002_abandon"),
            "DROP FUNCTION keyring_abandon_destruction(uuid, uuid[], uuid)",
        ),
    ]
