-- As before, and takes what says that somebody else's content mentions one of these subjects (docs/spec/mentions.md).
CREATE OR REPLACE FUNCTION vault_begin_erasure(p_tenant uuid, p_erasure uuid, p_reference uuid, p_subjects uuid[])
RETURNS TABLE (subjects bigint, identifiers bigint, done_idx bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    -- Who is one person with whom is not changed meanwhile either.
    PERFORM pg_advisory_xact_lock(hashtext('vault_subject_link'), hashtext(p_tenant::text));
    PERFORM pg_advisory_xact_lock(hashtext('vault_sealers'), hashtext(p_tenant::text));
    IF EXISTS (SELECT FROM vault_subject AS s WHERE s.tenant_id = p_tenant
               AND s.subject_id = ANY (p_subjects) AND s.kind = 'tenant') THEN
        RAISE EXCEPTION 'what belongs to the tenant itself is not erased for a person'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO vault_erasure (tenant_id, erasure_id, reference, subject_ids)
    VALUES (p_tenant, p_erasure, p_reference, p_subjects) ON CONFLICT DO NOTHING;
    UPDATE vault_erasure AS e SET found = (
        SELECT count(*) FROM vault_object AS o WHERE o.tenant_id = p_tenant AND o.subject_id = ANY (p_subjects)
    ) WHERE e.tenant_id = p_tenant AND e.erasure_id = p_erasure AND e.found IS NULL;
    UPDATE vault_subject AS s SET state = 'erasing' WHERE s.tenant_id = p_tenant
        AND s.subject_id = ANY (p_subjects) AND s.state IN ('active', 'restricted');
    GET DIAGNOSTICS subjects = ROW_COUNT;
    -- Whoever mentions them mentions nobody from now on; before the names that say who it is are gone.
    DELETE FROM vault_mention AS m USING vault_identifier AS i WHERE m.tenant_id = p_tenant
        AND i.tenant_id = p_tenant AND i.subject_id = ANY (p_subjects) AND m.kind = i.kind AND m.tag = i.tag;
    DELETE FROM vault_identifier AS i WHERE i.tenant_id = p_tenant AND i.subject_id = ANY (p_subjects);
    GET DIAGNOSTICS identifiers = ROW_COUNT;
    SELECT e.idx INTO done_idx FROM vault_erasure AS e
        WHERE e.tenant_id = p_tenant AND e.erasure_id = p_erasure;
    RETURN NEXT;
END
$$;
