-- The region refused, in step 2 of an erasure, what the keyring had begun in step 1: keys may be made for the subjects
-- again. Only the notes of this very erasure go, and none of a subject whose keys are destroyed.
CREATE FUNCTION keyring_abandon_destruction(p_tenant uuid, p_subjects uuid[], p_erasure uuid) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    abandoned bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('keyring_destruction'), hashtext(p_tenant::text));
    DELETE FROM keyring_destruction AS d WHERE d.tenant_id = p_tenant AND d.subject_id = ANY (p_subjects)
        AND d.erasure_id = p_erasure AND d.destroyed_at IS NULL;
    GET DIAGNOSTICS abandoned = ROW_COUNT;
    RETURN abandoned;
END
$$;
REVOKE ALL ON FUNCTION keyring_abandon_destruction(uuid, uuid[], uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION keyring_abandon_destruction(uuid, uuid[], uuid) TO auditvault_retention;
