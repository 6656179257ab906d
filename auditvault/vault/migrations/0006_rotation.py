"""Functions that move an object to another key. There is no way back from a key that was destroyed."""

from django.db import migrations

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    dependencies = [("vault", "0005_identifiers")]

    operations = [migrations.RunSQL(load_sql("auditvault.vault", "0006_rotation"))]
