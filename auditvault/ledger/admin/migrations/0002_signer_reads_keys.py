"""The signer may read the records of keys. Taking that back stops a rotation, and no log."""

from django.db import migrations

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    dependencies = [("ledger_admin", "0001_initial")]

    operations = [
        migrations.RunSQL(
            load_sql("auditvault.ledger.admin", "0002_signer_reads_keys"),
            "DROP POLICY signer_reads_keys ON admin_event;"
            " REVOKE SELECT ON admin_event FROM auditvault_signer",
        )
    ]
