-- At which parts of a request's time somebody was told: once each, and again after its limit has moved.
CREATE TABLE privacy_request_told (
    tenant_id uuid NOT NULL,
    request_id uuid NOT NULL,
    due_at timestamptz NOT NULL,
    -- Hundredths of the time from the receipt to the limit.
    part smallint NOT NULL CHECK (part BETWEEN 1 AND 100),
    PRIMARY KEY (tenant_id, request_id, due_at, part),
    FOREIGN KEY (tenant_id, request_id) REFERENCES privacy_request (tenant_id, request_id)
);
SELECT auditvault_fence('privacy_request_told', true);
GRANT SELECT, INSERT ON privacy_request_told TO auditvault_app;

-- Requests of all tenants that are not answered, with the limit as it stands and the last part that was told.
CREATE FUNCTION privacy_requests_unanswered()
RETURNS TABLE (tenant_id uuid, request_id uuid, received_at timestamptz, due_at timestamptz, told smallint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT r.tenant_id, r.request_id, r.received_at, d.due_at, coalesce((
        SELECT max(t.part) FROM privacy_request_told AS t
        WHERE t.tenant_id = r.tenant_id AND t.request_id = r.request_id AND t.due_at = d.due_at), 0::smallint)
    FROM privacy_request AS r
    CROSS JOIN LATERAL (SELECT CASE WHEN r.is_extended THEN r.extended_due_at ELSE r.due_at END) AS d (due_at)
    WHERE r.state NOT IN ('certified', 'closed', 'refused', 'withdrawn', 'duplicate')
    ORDER BY d.due_at, r.request_id
$$;
REVOKE ALL ON FUNCTION privacy_requests_unanswered() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION privacy_requests_unanswered() TO auditvault_retention;
