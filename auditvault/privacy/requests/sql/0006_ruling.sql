-- What was decided about an objection (GDPR Art. 21), once and for all.
CREATE TABLE privacy_ruling (
    tenant_id uuid NOT NULL,
    request_id uuid NOT NULL,
    ruling text NOT NULL CHECK (ruling IN ('upheld', 'overridden')),
    -- The erasure that an upheld one leads to, where one was asked for.
    follow_up uuid,
    -- The human who decided.
    ruled_by uuid NOT NULL,
    -- The admin record that says so, with the grounds.
    record_id uuid NOT NULL,
    ruled_at timestamptz NOT NULL,
    CHECK (follow_up IS NULL OR (ruling = 'upheld' AND follow_up <> request_id)),
    PRIMARY KEY (tenant_id, request_id),
    FOREIGN KEY (tenant_id, request_id) REFERENCES privacy_request (tenant_id, request_id),
    FOREIGN KEY (tenant_id, follow_up) REFERENCES privacy_request (tenant_id, request_id)
);
SELECT auditvault_fence('privacy_ruling', true);
GRANT SELECT ON privacy_ruling TO auditvault_app;

-- Writes what was decided; whether nobody had decided before. By somebody who had no hand in the objection, once it was
-- carried out; what follows is an erasure of whom it names, and goes its own way.
CREATE FUNCTION privacy_rule(p_request uuid, p_ruling text, p_follow_up uuid, p_human uuid, p_record uuid)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    tenant uuid := auditvault_tenant();
BEGIN
    PERFORM FROM privacy_request AS r WHERE r.tenant_id = tenant AND r.request_id = p_request
        AND r.kind = 'objection' AND r.state IN ('notifying', 'certified', 'closed')
        AND p_human <> ALL (r.hands) FOR SHARE;
    IF NOT FOUND OR (p_follow_up IS NOT NULL AND (NOT EXISTS (
            SELECT FROM privacy_request AS r WHERE r.tenant_id = tenant AND r.request_id = p_follow_up
            AND r.kind = 'erasure' AND r.state NOT IN ('refused', 'withdrawn', 'duplicate'))
        OR EXISTS (
            SELECT kind, tag FROM privacy_request_tag WHERE tenant_id = tenant AND request_id = p_request
            EXCEPT SELECT kind, tag FROM privacy_request_tag WHERE tenant_id = tenant AND request_id = p_follow_up)))
    THEN
        RAISE EXCEPTION 'an objection that was carried out is decided by somebody who had no hand in it'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO privacy_ruling VALUES (tenant, p_request, p_ruling, p_follow_up, p_human, p_record, clock_timestamp())
        ON CONFLICT DO NOTHING;
    RETURN FOUND;
END
$$;

-- An objection's restriction ends only where it was overridden; a restriction's as before.
CREATE FUNCTION privacy_restriction_refuse_lifting() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM privacy_request AS r WHERE r.tenant_id = NEW.tenant_id AND r.request_id = NEW.request_id
               AND r.kind = 'objection')
        AND NOT EXISTS (SELECT FROM privacy_ruling AS d WHERE d.tenant_id = NEW.tenant_id
                        AND d.request_id = NEW.request_id AND d.ruling = 'overridden') THEN
        RAISE EXCEPTION 'an objection that was not overridden keeps its restriction'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER refuse_lifting BEFORE UPDATE ON privacy_restriction
    FOR EACH ROW EXECUTE FUNCTION privacy_restriction_refuse_lifting();

REVOKE ALL ON FUNCTION privacy_rule(uuid, text, uuid, uuid, uuid), privacy_restriction_refuse_lifting() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION privacy_rule(uuid, text, uuid, uuid, uuid) TO auditvault_app;
