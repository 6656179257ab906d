-- Which subjects are one person (docs/spec/subjects.md section 4). A row puts a subject into a group; the newest row of a subject counts. Nothing that is
-- sealed for a subject changes.
CREATE TABLE vault_subject_link (
    tenant_id uuid NOT NULL,
    link_number bigint GENERATED ALWAYS AS IDENTITY,
    subject_id uuid NOT NULL,
    -- The admin record that made the group, which gives it its id.
    group_id uuid NOT NULL,
    linked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, link_number),
    FOREIGN KEY (tenant_id, subject_id) REFERENCES vault_subject (tenant_id, subject_id)
);
CREATE INDEX vault_subject_link_subject ON vault_subject_link (tenant_id, subject_id, link_number);
CREATE INDEX vault_subject_link_group ON vault_subject_link (tenant_id, group_id);
SELECT auditvault_fence('vault_subject_link', true);
-- Rows come from the two functions below only: they refuse what must not become one.
GRANT SELECT ON vault_subject_link TO auditvault_app;

-- Every subject that is one person with this one, itself included; whoever acts on a person acts on all of them.
CREATE FUNCTION vault_subject_group(tenant uuid, subject uuid) RETURNS SETOF uuid
LANGUAGE sql STABLE
AS $$
    SELECT subject
    UNION
    SELECT l.subject_id FROM vault_subject_link AS l
    WHERE l.tenant_id = tenant AND l.group_id = (
        SELECT own.group_id FROM vault_subject_link AS own
        WHERE own.tenant_id = tenant AND own.subject_id = subject ORDER BY own.link_number DESC LIMIT 1
    ) AND NOT EXISTS (
        SELECT FROM vault_subject_link AS later WHERE later.tenant_id = tenant
        AND later.subject_id = l.subject_id AND later.link_number > l.link_number
    )
$$;

-- Groups of the tenant do not change until the transaction ends. Whoever erases a person takes it before asking who
-- belongs to them, so that no subject joins meanwhile and is forgotten.
CREATE FUNCTION vault_lock_groups(tenant uuid) RETURNS void
LANGUAGE sql
AS $$ SELECT pg_advisory_xact_lock(hashtext('vault_subject_link'), hashtext(tenant::text)) $$;

-- Makes the groups of two subjects one, named `merged_by`. `outcome` is 'merged', or why nothing was done.
CREATE FUNCTION vault_merge_subjects(one uuid, other uuid, merged_by uuid)
RETURNS TABLE (outcome text, group_of_one uuid[], group_of_other uuid[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    tenant uuid := auditvault_tenant();
    members uuid[];
    found bigint;
    persons boolean;
    active boolean;
BEGIN
    PERFORM vault_lock_groups(tenant);
    group_of_one := ARRAY(SELECT vault_subject_group(tenant, one) ORDER BY 1);
    group_of_other := ARRAY(SELECT vault_subject_group(tenant, other) ORDER BY 1);
    members := group_of_one || group_of_other;
    -- Nobody changes their states until the commit.
    PERFORM FROM vault_subject WHERE tenant_id = tenant AND subject_id = ANY(members)
        ORDER BY subject_id FOR SHARE;
    SELECT count(*) FILTER (WHERE subject_id IN (one, other)), bool_and(kind <> 'tenant'),
           bool_and(state = 'active')
        INTO found, persons, active
        FROM vault_subject WHERE tenant_id = tenant AND subject_id = ANY(members);
    outcome := CASE
        WHEN found < (CASE WHEN one = other THEN 1 ELSE 2 END) THEN 'unknown'
        WHEN NOT persons THEN 'not_a_person'
        WHEN other = ANY(group_of_one) THEN 'one_already'
        WHEN NOT active THEN 'state'
        WHEN cardinality(members) > 1000 THEN 'too_many'
        ELSE 'merged' END;
    IF outcome = 'merged' THEN
        INSERT INTO vault_subject_link (tenant_id, subject_id, group_id)
        SELECT tenant, member, merged_by FROM unnest(members) AS member;
    END IF;
    RETURN NEXT;
END
$$;

-- Takes subjects out of their group, into one of their own, named `split_by`. `outcome` is 'split', or why nothing was done.
CREATE FUNCTION vault_split_subjects(leaving uuid[], split_by uuid)
RETURNS TABLE (outcome text, staying uuid[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    tenant uuid := auditvault_tenant();
    members uuid[];
    unknown boolean;
    erasing boolean;
BEGIN
    PERFORM vault_lock_groups(tenant);
    members := ARRAY(SELECT vault_subject_group(tenant, leaving[1]) ORDER BY 1);
    PERFORM FROM vault_subject WHERE tenant_id = tenant AND subject_id = ANY(members)
        ORDER BY subject_id FOR SHARE;
    unknown := EXISTS (SELECT FROM unnest(leaving) AS asked WHERE NOT EXISTS (
        SELECT FROM vault_subject WHERE tenant_id = tenant AND subject_id = asked));
    erasing := EXISTS (SELECT FROM vault_subject WHERE tenant_id = tenant AND subject_id = ANY(members)
        AND state IN ('erasing', 'erased'));
    staying := ARRAY(SELECT member FROM unnest(members) AS member WHERE member <> ALL(leaving) ORDER BY 1);
    outcome := CASE
        WHEN unknown OR cardinality(leaving) = 0 THEN 'unknown'
        WHEN NOT leaving <@ members OR cardinality(members) = 1 THEN 'not_merged'
        WHEN cardinality(staying) = 0 THEN 'nobody_stays'
        WHEN erasing THEN 'state'
        ELSE 'split' END;
    IF outcome = 'split' THEN
        INSERT INTO vault_subject_link (tenant_id, subject_id, group_id)
        SELECT DISTINCT tenant, asked, split_by FROM unnest(leaving) AS asked;
    END IF;
    RETURN NEXT;
END
$$;

REVOKE ALL ON FUNCTION vault_subject_group(uuid, uuid), vault_lock_groups(uuid),
    vault_merge_subjects(uuid, uuid, uuid), vault_split_subjects(uuid[], uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vault_subject_group(uuid, uuid), vault_lock_groups(uuid),
    vault_merge_subjects(uuid, uuid, uuid), vault_split_subjects(uuid[], uuid) TO auditvault_app;
