"""No account without a human: in a migration of its own, since rows and their column cannot change in one."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("access", "0003_humans")]

    operations = [
        migrations.AlterField(
            model_name="user",
            name="human",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="accounts",
                to="access.human",
            ),
        ),
    ]
