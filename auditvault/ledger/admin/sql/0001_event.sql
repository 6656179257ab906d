-- Headers of the entries of logs of kind 'admin'. `header` is the truth, committed to by the entry; `recorded_at` and
-- `action` are its projection. Few rows: no partitions.
CREATE TABLE admin_event (
    tenant_id uuid NOT NULL,
    record_id uuid NOT NULL,
    recorded_at timestamptz NOT NULL,
    action text NOT NULL CHECK (action ~ '^[a-z_]+(\.[a-z_]+)*$' AND length(action) <= 64),
    opening bytea NOT NULL CHECK (octet_length(opening) = 32),
    header bytea NOT NULL,
    PRIMARY KEY (tenant_id, record_id)
);
CREATE INDEX admin_event_action ON admin_event (tenant_id, action, recorded_at);
SELECT auditvault_fence('admin_event', true);
GRANT SELECT, INSERT ON admin_event TO auditvault_app;
