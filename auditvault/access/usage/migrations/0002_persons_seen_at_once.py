"""Whom a caller has looked at today is found in one statement. There is no way back, as of the first."""

from django.db import migrations

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    dependencies = [("access_usage", "0001_initial")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.access.usage", "0002_persons_seen_at_once")),
    ]
