-- Whose a record is, where no sealed object of its own says so: a span without content, or whose contents all equal
-- those of another span of the subject. Without it nobody would find these records for the person they are about.
CREATE TABLE vault_record (
    tenant_id uuid NOT NULL,
    record_id uuid NOT NULL,
    subject_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, record_id)
) PARTITION BY RANGE (record_id);
CREATE INDEX vault_record_subject ON vault_record (tenant_id, subject_id);

INSERT INTO auditvault_monthly_table VALUES ('vault_record', false);
SELECT auditvault_fence('vault_record', false);
GRANT SELECT ON vault_record TO auditvault_app;
SELECT auditvault_ensure_month('vault_record', (now() AT TIME ZONE 'UTC' + make_interval(months => ahead))::date)
FROM generate_series(0, 1) AS ahead;
