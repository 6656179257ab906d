"""Which overdue break-glasses were told of. There is no way back: what was told was told."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    dependencies = [("access_break_glass", "0001_initial")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.access.break_glass", "0002_told")),
        migrations.CreateModel(
            name="BreakGlassTold",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "break_glass_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("break_glass_id", models.UUIDField()),
            ],
            options={"db_table": "access_break_glass_told", "managed": False},
        ),
    ]
