-- Which records a stored content is in: contents of one person that are equal, in one request, are stored once, with the
-- first record of it that has them. A hold on any of these records is a hold on the content.

-- Records of one request have ids of one millisecond, and their headers name the contents. What headers no longer say
-- (they were pruned) is not known: the record with which it is stored is always one of them.
CREATE FUNCTION legal_hold_records_of(p_tenant uuid, p_object uuid, p_record uuid) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT p_record
    UNION
    SELECT t.record_id FROM traces_header AS t WHERE t.tenant_id = p_tenant
        AND t.record_id >= (left(p_record::text, 13) || '-0000-0000-000000000000')::uuid
        AND t.record_id <= (left(p_record::text, 13) || '-ffff-ffff-ffffffffffff')::uuid
        AND position(convert_to(p_object::text, 'UTF8') IN t.header) > 0
$$;

CREATE OR REPLACE FUNCTION legal_hold_refuse_object() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM legal_hold AS h WHERE h.tenant_id = OLD.tenant_id AND h.released_at IS NULL)
        AND NOT EXISTS (SELECT FROM vault_subject AS s WHERE s.tenant_id = OLD.tenant_id
                        AND s.subject_id = OLD.subject_id AND s.state IN ('erasing', 'erased'))
        AND (EXISTS (SELECT legal_holds_by_name(OLD.tenant_id, ARRAY[OLD.subject_id]))
             OR EXISTS (SELECT FROM legal_hold AS h,
                            legal_hold_records_of(OLD.tenant_id, OLD.object_id, OLD.record_id) AS record_id
                        WHERE h.tenant_id = OLD.tenant_id AND h.released_at IS NULL
                        AND legal_hold_covers_record(h, record_id))) THEN
        RAISE EXCEPTION 'what a legal hold covers is not deleted' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
END
$$;

REVOKE ALL ON FUNCTION legal_hold_records_of(uuid, uuid, uuid) FROM PUBLIC;
