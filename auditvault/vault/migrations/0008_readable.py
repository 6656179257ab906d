"""The view of what may be read."""

from django.db import migrations

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    dependencies = [("vault", "0007_scans")]

    operations = [migrations.RunSQL(load_sql("auditvault.vault", "0008_readable"))]
