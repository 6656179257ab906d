"""A hold on any record that a stored content is in keeps the content."""

from django.db import migrations

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    dependencies = [("privacy_holds", "0001_initial")]

    operations = [migrations.RunSQL(load_sql("auditvault.privacy.holds", "0002_shared"))]
