-- Notes what is seen under grants of the transaction's tenant: the nth object under the nth grant. False, and no row, where
-- one of the grants is not live then, or is somebody else's. They are held until the commit, so that nobody takes one back
-- between the look's record and the look; looks do not wait for each other.
CREATE FUNCTION access_use_grants(who uuid, record uuid, grants uuid[], objects uuid[], at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    live integer;
BEGIN
    PERFORM FROM access_grant
    WHERE tenant_id = auditvault_tenant() AND grant_id = ANY (grants) AND human_id = who
        AND revoked_at IS NULL AND starts_at <= at AND at < expires_at
    ORDER BY grant_id
    FOR SHARE;
    GET DIAGNOSTICS live = ROW_COUNT;
    IF live <> (SELECT count(DISTINCT named) FROM unnest(grants) AS named) THEN
        RETURN false;
    END IF;
    INSERT INTO access_grant_use (tenant_id, grant_id, record_id, object_id, used_at)
    SELECT auditvault_tenant(), seen.grant_id, record, seen.object_id, at
    FROM unnest(grants, objects) AS seen (grant_id, object_id);
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION access_use_grants(uuid, uuid, uuid[], uuid[], timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access_use_grants(uuid, uuid, uuid[], uuid[], timestamptz) TO auditvault_app;
REVOKE INSERT ON access_grant_use FROM auditvault_app;
