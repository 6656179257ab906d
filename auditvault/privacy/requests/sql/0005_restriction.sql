-- Restricting a person (GDPR Art. 18), and lifting it. The functions find whom themselves, from the request's tags: no
-- program can name somebody else, and none restricts without a request that was identified, approved and begun.

-- Whom a request restricts, and since when; several requests may restrict one subject.
CREATE TABLE privacy_restriction (
    tenant_id uuid NOT NULL,
    request_id uuid NOT NULL,
    subject_id uuid NOT NULL,
    restricted_at timestamptz NOT NULL,
    lifted_at timestamptz,
    -- The human who lifted it.
    lifted_by uuid,
    CHECK (num_nulls(lifted_at, lifted_by) IN (0, 2)),
    PRIMARY KEY (tenant_id, request_id, subject_id),
    FOREIGN KEY (tenant_id, request_id) REFERENCES privacy_request (tenant_id, request_id),
    FOREIGN KEY (tenant_id, subject_id) REFERENCES vault_subject (tenant_id, subject_id)
);
CREATE INDEX privacy_restriction_subject ON privacy_restriction (tenant_id, subject_id) WHERE lifted_at IS NULL;
SELECT auditvault_fence('privacy_restriction', false);
GRANT SELECT ON privacy_restriction TO auditvault_app;

CREATE FUNCTION privacy_restriction_refuse_change() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    -- It is lifted once, and nothing else of it changes.
    IF TG_OP = 'UPDATE' AND OLD.lifted_at IS NULL AND NEW.lifted_at IS NOT NULL
        AND to_jsonb(NEW) - ARRAY['lifted_at', 'lifted_by'] = to_jsonb(OLD) - ARRAY['lifted_at', 'lifted_by'] THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% of % is refused', TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON privacy_restriction
    FOR EACH ROW EXECUTE FUNCTION privacy_restriction_refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON privacy_restriction
    FOR EACH STATEMENT EXECUTE FUNCTION auditvault_refuse_change();

-- Everybody whom a request's tags lead to, with their groups; never the tenant's own subject.
CREATE FUNCTION privacy_request_subjects(p_tenant uuid, p_request uuid) RETURNS SETOF uuid
LANGUAGE sql STABLE SET search_path = public, pg_temp
AS $$
    SELECT DISTINCT member FROM privacy_request_tag AS t
    JOIN vault_identifier AS i ON i.tenant_id = p_tenant AND i.kind = t.kind AND i.tag = t.tag
    CROSS JOIN LATERAL vault_subject_group(p_tenant, i.subject_id) AS member
    JOIN vault_subject AS s ON s.tenant_id = p_tenant AND s.subject_id = member AND s.kind <> 'tenant'
    WHERE t.tenant_id = p_tenant AND t.request_id = p_request
$$;

-- Restricts whom the request names, and returns whom it had not restricted before. Who is being erased stays so.
CREATE FUNCTION privacy_restrict(p_request uuid) RETURNS uuid[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    tenant uuid := auditvault_tenant();
    members uuid[];
    added uuid[];
BEGIN
    PERFORM FROM privacy_request AS r WHERE r.tenant_id = tenant AND r.request_id = p_request
        AND r.kind IN ('restriction', 'objection') AND r.state = 'executing' FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'only a restriction or an objection that is executing restricts'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    -- Nobody joins or leaves the person meanwhile, and no other request restricts or lets them go.
    PERFORM vault_lock_groups(tenant);
    members := ARRAY(SELECT s.subject_id FROM vault_subject AS s
        WHERE s.tenant_id = tenant AND s.subject_id IN (SELECT privacy_request_subjects(tenant, p_request))
        AND s.state IN ('active', 'restricted') ORDER BY s.subject_id FOR UPDATE);
    WITH now_restricted AS (
        INSERT INTO privacy_restriction (tenant_id, request_id, subject_id, restricted_at)
        SELECT tenant, p_request, member, clock_timestamp() FROM unnest(members) AS member
        ON CONFLICT DO NOTHING RETURNING subject_id)
    SELECT coalesce(array_agg(subject_id ORDER BY subject_id), '{}') INTO added FROM now_restricted;
    UPDATE vault_subject AS s SET state = 'restricted'
        WHERE s.tenant_id = tenant AND s.subject_id = ANY (added) AND s.state = 'active';
    RETURN added;
END
$$;

-- Whether somebody whom the request names can be read: it is not done then.
CREATE FUNCTION privacy_restriction_lacks(p_request uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM vault_subject AS s WHERE s.tenant_id = auditvault_tenant() AND s.state = 'active'
        AND s.subject_id IN (SELECT privacy_request_subjects(auditvault_tenant(), p_request)))
$$;

-- Lifts a request's restriction. `lifted` are those whom it restricted until now, `readable` those of them whom no other
-- request restricts. Whoever lifts it has had no hand in the request.
CREATE FUNCTION privacy_lift(p_request uuid, p_human uuid, OUT lifted uuid[], OUT readable uuid[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    tenant uuid := auditvault_tenant();
BEGIN
    PERFORM FROM privacy_request AS r WHERE r.tenant_id = tenant AND r.request_id = p_request
        AND r.kind IN ('restriction', 'objection') AND r.state IN ('notifying', 'certified', 'closed')
        AND p_human <> ALL (r.hands) FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'a restriction that was carried out is lifted by somebody who had no hand in it'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM vault_lock_groups(tenant);
    WITH ended AS (
        UPDATE privacy_restriction AS p SET lifted_at = clock_timestamp(), lifted_by = p_human
        WHERE p.tenant_id = tenant AND p.request_id = p_request AND p.lifted_at IS NULL RETURNING p.subject_id)
    SELECT coalesce(array_agg(subject_id ORDER BY subject_id), '{}') INTO lifted FROM ended;
    WITH freed AS (
        UPDATE vault_subject AS s SET state = 'active'
        WHERE s.tenant_id = tenant AND s.subject_id = ANY (lifted) AND s.state = 'restricted'
        AND NOT EXISTS (SELECT FROM privacy_restriction AS p WHERE p.tenant_id = tenant
                        AND p.subject_id = s.subject_id AND p.lifted_at IS NULL)
        RETURNING s.subject_id)
    SELECT coalesce(array_agg(subject_id ORDER BY subject_id), '{}') INTO readable FROM freed;
END
$$;

-- Restrictions and objections that the service itself has to go on with, for the scheduled job.
CREATE FUNCTION privacy_restrictions_due() RETURNS TABLE (tenant_id uuid, request_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT r.tenant_id, r.request_id FROM privacy_request AS r WHERE r.kind IN ('restriction', 'objection')
    AND r.state IN ('scheduled', 'executing', 'failed_retry', 'verifying') ORDER BY r.due_at, r.request_id
$$;

REVOKE ALL ON FUNCTION privacy_restriction_refuse_change(), privacy_request_subjects(uuid, uuid),
    privacy_restrict(uuid), privacy_restriction_lacks(uuid), privacy_lift(uuid, uuid), privacy_restrictions_due()
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION privacy_restrict(uuid), privacy_restriction_lacks(uuid), privacy_lift(uuid, uuid)
    TO auditvault_app;
GRANT EXECUTE ON FUNCTION privacy_restrictions_due() TO auditvault_retention;
