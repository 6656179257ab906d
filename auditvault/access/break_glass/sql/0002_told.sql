-- Which break-glasses somebody was told of that nobody had reviewed in time: once each.
CREATE TABLE access_break_glass_told (
    tenant_id uuid NOT NULL,
    break_glass_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, break_glass_id)
);
SELECT auditvault_fence('access_break_glass_told', true);
GRANT SELECT, INSERT ON access_break_glass_told TO auditvault_app;

-- Of all tenants, what is overdue for review and was not told.
CREATE FUNCTION access_break_glass_overdue() RETURNS TABLE (tenant_id uuid, break_glass_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT b.tenant_id, b.break_glass_id FROM access_break_glass AS b
    WHERE b.reviewed_at IS NULL AND b.due_at <= clock_timestamp() AND NOT EXISTS (
        SELECT FROM access_break_glass_told AS t
        WHERE t.tenant_id = b.tenant_id AND t.break_glass_id = b.break_glass_id)
    ORDER BY b.due_at, b.break_glass_id
$$;
REVOKE ALL ON FUNCTION access_break_glass_overdue() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access_break_glass_overdue() TO auditvault_retention;
