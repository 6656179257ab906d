"""An erasure takes mentions of whom it erases. Going back leaves them; they lead to nobody."""

from django.db import migrations

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    dependencies = [("vault_erasures", "0002_counts"), ("vault", "0010_mentions")]

    operations = [
        migrations.RunSQL(
            load_sql("auditvault.vault.erasures", "0003_mentions"),
            load_sql("auditvault.vault.erasures", "0002_counts").split("\n\n", 1)[1],
        )
    ]
