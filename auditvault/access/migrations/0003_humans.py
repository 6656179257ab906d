"""The human behind accounts and tokens."""

import uuid

import django.db.models.deletion
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def one_for_each(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Every account there is was made for a human of its own."""
    human, user = apps.get_model("access", "Human"), apps.get_model("access", "User")
    for account in user.objects.using(schema_editor.connection.alias).iterator():
        account.human = human.objects.using(schema_editor.connection.alias).create()
        account.save(update_fields=["human"])


class Migration(migrations.Migration):
    dependencies = [("access", "0002_roles")]

    operations = [
        migrations.CreateModel(
            name="Human",
            fields=[
                (
                    "human_id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.AddField(
            model_name="user",
            name="human",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="accounts",
                to="access.human",
            ),
        ),
        migrations.RunPython(one_for_each, migrations.RunPython.noop),
        migrations.AddField(
            model_name="apitoken",
            name="human",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="tokens",
                to="access.human",
            ),
        ),
        migrations.AddField(
            model_name="apitoken",
            name="strong_until",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
