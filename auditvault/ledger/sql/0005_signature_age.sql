-- How long ago the newest signature was made of the log of the region that has waited longest, for the metrics: a
-- number, and nobody's. A log with entries that was never signed counts from when it was opened. NULL where no log has
-- an entry.
CREATE FUNCTION ledger_signature_age() RETURNS interval
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT max(clock_timestamp() - coalesce(newest.signed_at, l.created_at))
    FROM ledger_log AS l JOIN ledger_head AS h USING (tenant_id, log_id)
    LEFT JOIN LATERAL (
        SELECT c.signed_at FROM ledger_checkpoint AS c
        WHERE c.tenant_id = l.tenant_id AND c.log_id = l.log_id
        ORDER BY c.size DESC, c.signed_at DESC LIMIT 1
    ) AS newest ON true
    WHERE h.size > 0
$$;
REVOKE ALL ON FUNCTION ledger_signature_age() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger_signature_age() TO auditvault_app;
