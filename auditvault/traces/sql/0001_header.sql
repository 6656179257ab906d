-- Headers of interactions. `header` is the truth, committed to by the log; the other columns are its
-- projection for search, and verification compares them. Fields: docs/spec/header.md.
CREATE TABLE traces_header (
    tenant_id uuid NOT NULL,
    record_id uuid NOT NULL,
    trace_id bytea NOT NULL CHECK (octet_length(trace_id) = 16),
    span_id bytea NOT NULL CHECK (octet_length(span_id) = 8),
    parent_span_id bytea CHECK (octet_length(parent_span_id) = 8),
    revision integer NOT NULL CHECK (revision >= 0),
    started_at timestamptz NOT NULL,
    duration_ns bigint,
    operation text NOT NULL,
    status text NOT NULL CHECK (status IN ('unset', 'ok', 'error')),
    name text,
    provider text,
    model text,
    input_tokens bigint,
    output_tokens bigint,
    service text,
    environment text,
    feature text,
    error_type text,
    opening bytea NOT NULL CHECK (octet_length(opening) = 32),
    header bytea NOT NULL,
    PRIMARY KEY (tenant_id, record_id)
) PARTITION BY RANGE (record_id);
CREATE INDEX traces_header_span ON traces_header (tenant_id, trace_id, span_id);
CREATE INDEX traces_header_started ON traces_header (tenant_id, started_at);

INSERT INTO auditvault_monthly_table VALUES ('traces_header', true);
SELECT auditvault_fence('traces_header', true);
GRANT SELECT ON traces_header TO auditvault_app;
SELECT auditvault_ensure_month('traces_header', (now() AT TIME ZONE 'UTC' + make_interval(months => ahead))::date)
FROM generate_series(0, 1) AS ahead;
