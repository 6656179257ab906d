"""The function that prunes. There is no way back: what it dropped is gone."""

from django.db import migrations

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("access_events", "0001_initial"),
        ("ledger", "0003_prune"),
        ("ledger_admin", "0001_initial"),
        ("traces", "0001_initial"),
        ("vault", "0002_records"),
    ]

    operations = [migrations.RunSQL(load_sql("auditvault.evidence.pruning", "0001_prune"))]
