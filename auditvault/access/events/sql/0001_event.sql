-- Access records: who looked at what, for what purpose. Written before the look (design rule 2).
-- `header` is the truth, committed to by the access log; the other columns are its projection.
CREATE TABLE access_event (
    tenant_id uuid NOT NULL,
    record_id uuid NOT NULL,
    recorded_at timestamptz NOT NULL,
    action text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('granted', 'denied')),
    actor text NOT NULL,
    actor_role text,
    purpose_code text,
    case_ref text,
    opening bytea NOT NULL CHECK (octet_length(opening) = 32),
    header bytea NOT NULL,
    PRIMARY KEY (tenant_id, record_id)
) PARTITION BY RANGE (record_id);
CREATE INDEX access_event_recorded ON access_event (tenant_id, recorded_at);
CREATE INDEX access_event_actor ON access_event (tenant_id, actor, recorded_at);

INSERT INTO auditvault_monthly_table VALUES ('access_event', true);
SELECT auditvault_fence('access_event', true);
GRANT SELECT ON access_event TO auditvault_app;
SELECT auditvault_ensure_month('access_event', (now() AT TIME ZONE 'UTC' + make_interval(months => ahead))::date)
FROM generate_series(0, 1) AS ahead;
