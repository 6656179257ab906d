"""A permission for each role of the role table."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("access", "0001_initial")]

    operations = [
        migrations.AlterModelOptions(
            name="tenantregion",
            options={
                "default_permissions": (),
                "permissions": [
                    ("viewer", "May see headers"),
                    ("engineer", "May see headers and redacted text"),
                    ("investigator", "May see content for a purpose"),
                    ("auditor", "May see headers, proofs and access records"),
                    ("examiner", "As an auditor, from outside and for a time"),
                    ("privacy_operator", "May prepare erasures"),
                    ("privacy_officer", "May approve erasures, grants and exports"),
                    ("records_manager", "May propose policies"),
                    ("legal", "May place holds, and approve policies and grants"),
                    ("key_custodian", "May manage keys"),
                    ("security_admin", "May give roles"),
                    ("log_admin", "May say where the log goes"),
                    ("platform", "Runs servers and databases"),
                ],
            },
        ),
    ]
