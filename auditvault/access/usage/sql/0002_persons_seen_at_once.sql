-- As before, in one statement over the caller's subjects of the day: a function called for each of them took most of the time
-- in which a look's record holds what it locks.
CREATE OR REPLACE FUNCTION auditvault_persons_seen(tenant uuid, caller text) RETURNS SETOF uuid
LANGUAGE sql STABLE
AS $$
    SELECT DISTINCT coalesce(newest.group_id, s.subject_id) FROM look_subject AS s
    LEFT JOIN LATERAL (
        SELECT l.group_id FROM vault_subject_link AS l WHERE l.tenant_id = tenant AND l.subject_id = s.subject_id
        ORDER BY l.link_number DESC LIMIT 1) AS newest ON true
    WHERE s.tenant_id = tenant AND s.who = caller AND s.day = (clock_timestamp() AT TIME ZONE 'UTC')::date
$$;

-- As before, but that the function above is part of the statement that calls it.
CREATE OR REPLACE FUNCTION auditvault_count_look(caller text, subjects uuid[], default_budget integer, miss_window_seconds integer)
RETURNS TABLE (is_granted boolean, is_first_refusal boolean, budget integer, used integer, looks_today integer,
               misses_in_window integer, history integer[], retry_after integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    tenant uuid := auditvault_tenant();
    at timestamptz := clock_timestamp();
    today date := (at AT TIME ZONE 'UTC')::date;
    began timestamptz := to_timestamp(floor(extract(epoch FROM at) / miss_window_seconds) * miss_window_seconds);
    is_miss boolean := cardinality(subjects) = 0;
    own look_count;
    persons uuid[];
    fresh integer;
BEGIN
    IF tenant IS NULL OR coalesce(caller, '') = '' THEN
        RAISE EXCEPTION 'a look has a tenant and a caller' USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO look_count AS known (tenant_id, who, day) VALUES (tenant, caller, today)
    ON CONFLICT (tenant_id, who, day) DO UPDATE SET looks = known.looks RETURNING known.* INTO own;
    budget := auditvault_look_budget(tenant, default_budget);
    persons := ARRAY(SELECT person FROM auditvault_persons_seen(tenant, caller) AS person);
    used := cardinality(persons);
    fresh := (SELECT count(DISTINCT auditvault_person_of(tenant, v.subject_id)) FROM vault_subject AS v
              WHERE v.tenant_id = tenant AND v.subject_id = ANY (subjects) AND v.kind <> 'tenant'
              AND auditvault_person_of(tenant, v.subject_id) <> ALL (persons));
    is_granted := used + fresh <= budget AND NOT (is_miss AND used >= budget);
    is_first_refusal := NOT is_granted AND NOT own.is_refused;
    retry_after := greatest(1, ceil(extract(epoch FROM (today + 1)::timestamp AT TIME ZONE 'UTC' - at)))::integer;
    IF is_granted THEN
        INSERT INTO look_subject SELECT tenant, caller, today, v.subject_id FROM vault_subject AS v
        WHERE v.tenant_id = tenant AND v.subject_id = ANY (subjects) AND v.kind <> 'tenant' ON CONFLICT DO NOTHING;
        used := used + fresh;
    END IF;
    UPDATE look_count SET
        looks = looks + CASE WHEN is_granted THEN greatest(1, cardinality(subjects)) ELSE 0 END,
        misses = misses + is_miss::integer,
        is_refused = is_refused OR NOT is_granted,
        window_misses = CASE WHEN miss_window_at >= began THEN window_misses ELSE 0 END + is_miss::integer,
        miss_window_at = greatest(miss_window_at, began)
    WHERE tenant_id = tenant AND who = caller AND day = today
    RETURNING looks, window_misses INTO looks_today, misses_in_window;
    history := ARRAY(SELECT c.looks FROM look_count AS c WHERE c.tenant_id = tenant AND c.who = caller
                     AND c.day >= today - 35 AND c.day < today AND c.looks > 0 ORDER BY c.day);
    RETURN NEXT;
END
$$;
