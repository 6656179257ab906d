"""What an erasure found is counted when it begins. There is no way back: what was erased is not counted again."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    dependencies = [("vault_erasures", "0001_initial")]

    operations = [
        migrations.RunSQL(
            load_sql("auditvault.vault.erasures", "0002_counts"),
            state_operations=[
                migrations.AddField("erasure", "found", models.BigIntegerField(null=True))
            ],
        )
    ]
