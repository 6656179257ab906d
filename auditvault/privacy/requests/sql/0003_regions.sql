-- What names the person in the other regions that the request is about: tags that only those regions' keys can make. They
-- are written with the request, and stand where it stands.
CREATE TABLE privacy_request_region_tag (
    tenant_id uuid NOT NULL,
    request_id uuid NOT NULL,
    region text NOT NULL CHECK (region ~ '^[a-z][a-z0-9_]{0,30}$'),
    kind text NOT NULL CHECK (kind ~ '^[a-z][a-z_]{0,30}$'),
    tag bytea NOT NULL CHECK (octet_length(tag) = 32),
    normalisation smallint NOT NULL CHECK (normalisation >= 0),
    PRIMARY KEY (tenant_id, request_id, region, kind, tag),
    FOREIGN KEY (tenant_id, request_id) REFERENCES privacy_request (tenant_id, request_id)
);
SELECT auditvault_fence('privacy_request_region_tag', true);
GRANT SELECT ON privacy_request_region_tag TO auditvault_app;

-- Names the person of a request that is being received, in its other regions.
CREATE FUNCTION privacy_request_name(p_request uuid, regions text[], kinds text[], tags bytea[], versions smallint[])
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    -- With the request or not at all: afterwards nobody becomes somebody else.
    IF NOT EXISTS (SELECT FROM privacy_request AS r WHERE r.tenant_id = auditvault_tenant() AND r.request_id = p_request
                   AND r.step = 0 AND r.xmin = pg_current_xact_id()::xid) THEN
        RAISE EXCEPTION 'a person is named where the request is received' USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO privacy_request_region_tag
        SELECT auditvault_tenant(), p_request, * FROM unnest(regions, kinds, tags, versions);
END
$$;
REVOKE ALL ON FUNCTION privacy_request_name(uuid, text[], text[], bytea[], smallint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION privacy_request_name(uuid, text[], text[], bytea[], smallint[]) TO auditvault_app;
