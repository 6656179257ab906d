"""A use is noted under a grant that is live then. There is no way back, as of the first."""

from django.db import migrations

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    dependencies = [("access_grants", "0001_initial")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.access.grants", "0002_use_of_a_live_grant")),
    ]
