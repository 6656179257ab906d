"""Break-glass by tenant and region. There is no way back: who looked without a grant is not forgotten."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    initial = True

    dependencies = [("ledger", "0001_initial")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.access.break_glass", "0001_break_glass")),
        migrations.CreateModel(
            name="StoredBreakGlass",
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
                ("record_id", models.UUIDField()),
                ("human_id", models.UUIDField()),
                ("holder", models.TextField()),
                ("case_ref", models.TextField()),
                ("opened_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("due_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("reviewed_at", models.DateTimeField(null=True)),
                ("reviewed_by", models.UUIDField(null=True)),
                ("reviewer", models.TextField(null=True)),
                ("verdict", models.TextField(null=True)),
                ("review_case", models.TextField(null=True)),
            ],
            options={
                "db_table": "access_break_glass",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="BreakGlassLook",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "break_glass_id",
                        "record_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("break_glass_id", models.UUIDField()),
                ("record_id", models.UUIDField()),
                ("objects_seen", models.IntegerField()),
                ("looked_at", models.DateTimeField()),
            ],
            options={
                "db_table": "access_break_glass_look",
                "managed": False,
            },
        ),
    ]
