-- Payload policies by tenant, in versions; the nil tenant's are the region's own, for tenants without one.
-- Set by the operator, recorded in the operator's log as `record_id` before the row is there.
CREATE TABLE payload_policy (
    tenant_id uuid NOT NULL,
    version integer NOT NULL CHECK (version >= 1),
    set_at timestamptz NOT NULL,
    record_id uuid NOT NULL,
    document bytea NOT NULL CHECK (octet_length(document) BETWEEN 1 AND 65536),
    PRIMARY KEY (tenant_id, version)
);
SELECT auditvault_fence('payload_policy', true);
GRANT SELECT, INSERT ON payload_policy TO auditvault_app;

-- The policy that the transaction's tenant is under: its own newest, else the region's. With the owner's rights, because
-- the fence hides the nil tenant's rows; it shows nobody else's.
CREATE FUNCTION auditvault_payload_policy() RETURNS TABLE (of_tenant uuid, version integer, document bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT p.tenant_id, p.version, p.document FROM payload_policy AS p
    WHERE p.tenant_id IN (auditvault_tenant(), '00000000-0000-0000-0000-000000000000')
    ORDER BY p.tenant_id = '00000000-0000-0000-0000-000000000000', p.version DESC LIMIT 1
$$;
REVOKE ALL ON FUNCTION auditvault_payload_policy() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION auditvault_payload_policy() TO auditvault_app;
