"""How old the newest signatures are, for the metrics."""

from django.db import migrations

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    dependencies = [("ledger", "0003_prune")]

    operations = [
        migrations.RunSQL(
            load_sql("auditvault.ledger", "0005_signature_age"),
            "DROP FUNCTION ledger_signature_age()",
        ),
    ]
