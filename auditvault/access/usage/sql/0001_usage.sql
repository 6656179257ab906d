-- What each caller looks at, by day (UTC): their own baseline. `who` is a human over all their accounts and tokens, or a
-- machine's token. Changed by the functions alone.
CREATE TABLE look_count (
    tenant_id uuid NOT NULL,
    who text NOT NULL CHECK (length(who) BETWEEN 1 AND 128),
    day date NOT NULL,
    looks integer NOT NULL DEFAULT 0,
    misses integer NOT NULL DEFAULT 0,
    is_refused boolean NOT NULL DEFAULT false,
    miss_window_at timestamptz,
    window_misses integer NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, who, day)
);
SELECT auditvault_fence('look_count', false);
GRANT SELECT ON look_count TO auditvault_app;

-- Whom they looked at: each subject once a day. Ids of subjects, which name nobody.
CREATE TABLE look_subject (
    tenant_id uuid NOT NULL,
    who text NOT NULL,
    day date NOT NULL,
    subject_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, who, day, subject_id)
);
SELECT auditvault_fence('look_subject', false);
GRANT SELECT ON look_subject TO auditvault_app;

-- So that an alert is raised once in a window.
CREATE TABLE look_alerted (
    tenant_id uuid NOT NULL,
    who text NOT NULL,
    kind text NOT NULL CHECK (kind ~ '^[a-z_]{1,64}$'),
    window_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, who, kind)
);
SELECT auditvault_fence('look_alerted', false);
GRANT SELECT ON look_alerted TO auditvault_app;

-- A tenant's own budget, in versions; recorded in its admin log in the same transaction.
CREATE TABLE look_limit (
    tenant_id uuid NOT NULL,
    version integer NOT NULL CHECK (version >= 1),
    set_at timestamptz NOT NULL,
    record_id uuid NOT NULL,
    subjects_per_day integer NOT NULL CHECK (subjects_per_day BETWEEN 1 AND 1000000),
    PRIMARY KEY (tenant_id, version)
);
SELECT auditvault_fence('look_limit', true);
GRANT SELECT, INSERT ON look_limit TO auditvault_app;

-- Whoever is one person with the subject counts as one: the group of the newest link, else the subject itself.
CREATE FUNCTION auditvault_person_of(tenant uuid, subject uuid) RETURNS uuid
LANGUAGE sql STABLE
AS $$
    SELECT coalesce((
        SELECT l.group_id FROM vault_subject_link AS l WHERE l.tenant_id = tenant AND l.subject_id = subject
        ORDER BY l.link_number DESC LIMIT 1), subject)
$$;

-- The tenant's budget in force.
CREATE FUNCTION auditvault_look_budget(tenant uuid, default_budget integer) RETURNS integer
LANGUAGE sql STABLE
AS $$
    SELECT coalesce((SELECT l.subjects_per_day FROM look_limit AS l WHERE l.tenant_id = tenant
                     ORDER BY l.version DESC LIMIT 1), default_budget)
$$;

-- The persons whom the caller looked at today (UTC).
CREATE FUNCTION auditvault_persons_seen(tenant uuid, caller text) RETURNS SETOF uuid
LANGUAGE sql STABLE
AS $$
    SELECT DISTINCT auditvault_person_of(tenant, s.subject_id) FROM look_subject AS s
    WHERE s.tenant_id = tenant AND s.who = caller AND s.day = (clock_timestamp() AT TIME ZONE 'UTC')::date
$$;

-- Which of the subjects, in their order, what is left of the budget is enough for. Locks and counts nothing.
CREATE FUNCTION auditvault_affordable(caller text, subjects uuid[], default_budget integer) RETURNS uuid[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH seen AS MATERIALIZED (SELECT p AS person FROM auditvault_persons_seen(auditvault_tenant(), caller) AS p),
    wanted AS MATERIALIZED (
        SELECT v.subject_id, v.kind, w.place, auditvault_person_of(v.tenant_id, v.subject_id) AS person
        FROM unnest(subjects) WITH ORDINALITY AS w (subject_id, place)
        JOIN vault_subject AS v ON v.tenant_id = auditvault_tenant() AND v.subject_id = w.subject_id
    ), fresh AS (
        SELECT person, row_number() OVER (ORDER BY min(place)) AS turn FROM wanted
        WHERE kind <> 'tenant' AND person NOT IN (SELECT person FROM seen) GROUP BY person
    )
    SELECT ARRAY(
        SELECT subject_id FROM wanted LEFT JOIN fresh USING (person)
        WHERE turn IS NULL
            OR turn <= auditvault_look_budget(auditvault_tenant(), default_budget) - (SELECT count(*) FROM seen))
$$;

-- Counts a look of the transaction's tenant's caller at some subjects, unless that makes more persons in a day than the
-- budget; with none found it is a miss. The caller's row of the day is locked until the commit, so that processes that
-- count at once queue here. When the budget is spent, a miss is refused like whatever would be new: nothing is told by it.
CREATE FUNCTION auditvault_count_look(caller text, subjects uuid[], default_budget integer, miss_window_seconds integer)
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
    persons := ARRAY(SELECT auditvault_persons_seen(tenant, caller));
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

-- Whether nothing was said yet of this caller and kind in the present window; from the commit on it is.
CREATE FUNCTION auditvault_first_in_window(caller text, said text, window_seconds integer) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH present AS (
        SELECT to_timestamp(floor(extract(epoch FROM clock_timestamp()) / window_seconds) * window_seconds) AS began
    ), written AS (
        INSERT INTO look_alerted AS known
        SELECT auditvault_tenant(), caller, said, began FROM present
        ON CONFLICT (tenant_id, who, kind) DO UPDATE SET window_at = excluded.window_at
        WHERE known.window_at < excluded.window_at
        RETURNING 1
    )
    SELECT EXISTS (SELECT FROM written)
$$;

-- Forgets what no rule asks for any more, of all tenants: whom somebody looked at after two days, how often after 35.
CREATE FUNCTION auditvault_forget_looks() RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH today AS (SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date AS day),
    seen AS (DELETE FROM look_subject USING today WHERE look_subject.day < today.day - 1 RETURNING 1),
    counts AS (DELETE FROM look_count USING today WHERE look_count.day < today.day - 35 RETURNING 1),
    said AS (DELETE FROM look_alerted USING today WHERE look_alerted.window_at < today.day - 35 RETURNING 1)
    SELECT (SELECT count(*) FROM seen) + (SELECT count(*) FROM counts) + (SELECT count(*) FROM said)
$$;

REVOKE ALL ON FUNCTION auditvault_person_of(uuid, uuid), auditvault_look_budget(uuid, integer),
    auditvault_persons_seen(uuid, text), auditvault_affordable(text, uuid[], integer),
    auditvault_count_look(text, uuid[], integer, integer),
    auditvault_first_in_window(text, text, integer), auditvault_forget_looks() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION auditvault_affordable(text, uuid[], integer), auditvault_count_look(text, uuid[], integer, integer),
    auditvault_first_in_window(text, text, integer), auditvault_forget_looks() TO auditvault_app;
