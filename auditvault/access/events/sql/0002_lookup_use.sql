-- How many lookups each caller, and under '' each tenant, made in the present window. One row each, written over when a
-- window begins. Changed by the function alone.
CREATE TABLE lookup_use (
    tenant_id uuid NOT NULL,
    caller text NOT NULL CHECK (length(caller) <= 128),
    window_at timestamptz NOT NULL,
    used integer NOT NULL,
    is_refused boolean NOT NULL,
    PRIMARY KEY (tenant_id, caller)
);
SELECT auditvault_fence('lookup_use', false);
GRANT SELECT ON lookup_use TO auditvault_app;

-- Counts one lookup of the transaction's tenant, unless the caller or the tenant has had as many as it may.
-- The caller's row is locked first and the tenant's second, always: nobody waits in a circle.
CREATE FUNCTION auditvault_take_lookup(who text, per_caller integer, per_tenant integer, window_seconds integer)
RETURNS TABLE (is_granted boolean, retry_after integer, is_first_refusal boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    tenant uuid := auditvault_tenant();
    at timestamptz := clock_timestamp();
    began timestamptz := to_timestamp(floor(extract(epoch FROM at) / window_seconds) * window_seconds);
    own lookup_use;
    everybody lookup_use;
BEGIN
    IF tenant IS NULL OR coalesce(who, '') = '' THEN
        RAISE EXCEPTION 'a lookup has a tenant and a caller' USING ERRCODE = 'insufficient_privilege';
    END IF;
    own := auditvault_open_window(tenant, who, began);
    everybody := auditvault_open_window(tenant, '', began);
    is_granted := own.used < per_caller AND everybody.used < per_tenant;
    is_first_refusal := NOT is_granted AND NOT own.is_refused;
    retry_after := greatest(1, ceil(extract(epoch FROM own.window_at - at) + window_seconds))::integer;
    UPDATE lookup_use SET used = used + is_granted::integer, is_refused = is_refused OR NOT is_granted
    WHERE tenant_id = tenant AND caller = who;
    UPDATE lookup_use SET used = used + is_granted::integer WHERE tenant_id = tenant AND caller = '';
    RETURN NEXT;
END
$$;

-- The row of a caller, locked, with nothing used where a new window has begun. A window never goes back.
CREATE FUNCTION auditvault_open_window(tenant uuid, who text, began timestamptz) RETURNS lookup_use
LANGUAGE sql
AS $$
    INSERT INTO lookup_use AS known VALUES (tenant, who, began, 0, false)
    ON CONFLICT (tenant_id, caller) DO UPDATE SET
        window_at = greatest(known.window_at, began),
        used = CASE WHEN known.window_at < began THEN 0 ELSE known.used END,
        is_refused = known.window_at >= began AND known.is_refused
    RETURNING known.*
$$;
REVOKE ALL ON FUNCTION auditvault_open_window(uuid, text, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION auditvault_take_lookup(text, integer, integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION auditvault_take_lookup(text, integer, integer, integer) TO auditvault_app;
