-- What one database allows, as (kind, object, name, value) rows: who owns what, who may do what, what refuses a change.
-- Read from PostgreSQL's own catalogue, which every role may read. Owners' own rights are left out: they are implied, and
-- PostgreSQL 17 added one. So are members of extensions, which belong to whoever installed those.
WITH thing AS (
    SELECT c.oid, c.relname::text AS object, c.relkind, c.relowner, c.relacl, c.relrowsecurity, c.relforcerowsecurity,
        (SELECT p.relname FROM pg_inherits AS i JOIN pg_class AS p ON p.oid = i.inhparent WHERE i.inhrelid = c.oid LIMIT 1)
            AS parent
    FROM pg_class AS c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                        AND d.deptype = 'e')
), routine AS (
    SELECT p.*, format('%s(%s)', p.proname, pg_get_function_identity_arguments(p.oid)) AS object
    FROM pg_proc AS p
    WHERE p.pronamespace = 'public'::regnamespace
        AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                        AND d.deptype = 'e')
), granted (object, owner, acl) AS (
    SELECT object, relowner, relacl FROM thing
    UNION ALL
    SELECT format('%s.%s', object, attname), relowner, attacl
    FROM thing JOIN pg_attribute ON attrelid = thing.oid AND attacl IS NOT NULL
    UNION ALL
    SELECT object, proowner, coalesce(proacl, acldefault('f', proowner)) FROM routine
    UNION ALL
    SELECT 'the schema public', nspowner, nspacl FROM pg_namespace WHERE nspname = 'public'
    UNION ALL
    SELECT 'the database', datdba, coalesce(datacl, acldefault('d', datdba)) FROM pg_database
    WHERE datname = current_database()
    UNION ALL
    SELECT 'objects to come', defaclrole, defaclacl FROM pg_default_acl
), ours AS (
    SELECT * FROM pg_roles WHERE rolname IN
        ('auditvault_owner', 'auditvault_app', 'auditvault_retention', 'auditvault_signer')
), setting AS (
    SELECT coalesce(rolname, 'the database') AS object, split_part(item, '=', 1) AS name,
        substr(item, strpos(item, '=') + 1) AS value
    FROM pg_db_role_setting AS s CROSS JOIN unnest(s.setconfig) AS item
    LEFT JOIN ours ON ours.oid = s.setrole LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
    WHERE (s.setrole = 0 OR ours.oid IS NOT NULL) AND (s.setdatabase = 0 OR d.datname = current_database())
)
SELECT 'relation' AS kind, object, '' AS name,
    CASE relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'S' THEN 'sequence' ELSE 'view' END
    || coalesce(', part of ' || parent, '') AS value
FROM thing
UNION ALL
SELECT 'owner', object, '', pg_get_userbyid(relowner)::text FROM thing
UNION ALL
SELECT 'row_security', object, '', CASE WHEN relforcerowsecurity THEN 'on, for its owner too' ELSE 'on' END
FROM thing WHERE relrowsecurity OR relforcerowsecurity
UNION ALL
SELECT 'grant', object, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END,
    string_agg(a.privilege_type || CASE WHEN a.is_grantable THEN ' to hand on' ELSE '' END, ', '
               ORDER BY a.privilege_type)
FROM granted CROSS JOIN aclexplode(acl) AS a WHERE a.grantee <> owner GROUP BY object, a.grantee
UNION ALL
SELECT 'policy', object, polname::text,
    CASE WHEN polpermissive THEN '' ELSE 'restrictive ' END || polcmd::text || ' to '
    || array_to_string(ARRAY(SELECT CASE r WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(r)::text END
                             FROM unnest(polroles) AS r ORDER BY 1), ', ')
    || coalesce(' using ' || pg_get_expr(polqual, polrelid), '')
    || coalesce(' with check ' || pg_get_expr(polwithcheck, polrelid), '')
FROM thing JOIN pg_policy ON polrelid = thing.oid
UNION ALL
SELECT 'trigger', object, tgname::text,
    CASE tgenabled WHEN 'O' THEN '' ELSE 'disabled or for replicas, ' END
    || regexp_replace(pg_get_triggerdef(t.oid), '^CREATE TRIGGER \S+ (.*?) ON \S+ (.*)$', '\1 \2')
FROM thing JOIN pg_trigger AS t ON tgrelid = thing.oid AND NOT tgisinternal
UNION ALL
-- Foreign keys are kept by triggers of PostgreSQL's own, whose names are numbers.
SELECT DISTINCT 'trigger', object, 'foreign key', 'disabled'
FROM thing JOIN pg_trigger AS t ON tgrelid = thing.oid AND tgisinternal AND tgenabled <> 'O'
UNION ALL
SELECT 'rule', object, rulename::text, pg_get_ruledef(r.oid)
FROM thing JOIN pg_rewrite AS r ON ev_class = thing.oid AND relkind <> 'v'
UNION ALL
SELECT 'function', object, '',
    CASE WHEN prosecdef THEN 'with its owner''s rights, ' ELSE '' END || lanname
    || coalesce(', ' || array_to_string(proconfig, '; '), '')
    || ', SHA-256 ' || encode(sha256(convert_to(prosrc, 'UTF8')), 'hex')
FROM routine JOIN pg_language AS l ON l.oid = prolang
UNION ALL
SELECT 'owner', object, '', pg_get_userbyid(proowner)::text FROM routine
UNION ALL
SELECT 'owner', 'the schema public', '', pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = 'public'
UNION ALL
SELECT 'owner', 'the database', '', pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = current_database()
UNION ALL
-- A schema that is searched before `public`: its tables would be taken for ours.
SELECT 'schema', nspname::text, '', pg_get_userbyid(nspowner)::text
FROM pg_namespace WHERE nspname IN (SELECT rolname FROM ours)
UNION ALL
SELECT 'role', rolname::text, attribute, 'yes'
FROM ours CROSS JOIN LATERAL (VALUES ('SUPERUSER', rolsuper), ('BYPASSRLS', rolbypassrls),
    ('CREATEROLE', rolcreaterole), ('CREATEDB', rolcreatedb), ('REPLICATION', rolreplication)) AS v (attribute, has)
WHERE has
UNION ALL
SELECT 'member', ours.rolname::text, 'of ' || pg_get_userbyid(roleid)::text, 'yes'
FROM pg_auth_members JOIN ours ON ours.oid = member
UNION ALL
-- Administrators who made the roles hold them; anybody else does not.
SELECT 'member', holder.rolname::text, 'of ' || ours.rolname::text, 'yes'
FROM pg_auth_members JOIN ours ON ours.oid = roleid JOIN pg_roles AS holder ON holder.oid = member
WHERE NOT (holder.rolsuper OR holder.rolcreaterole) AND holder.oid NOT IN (SELECT oid FROM ours)
UNION ALL
SELECT 'setting', object, name, value FROM setting
WHERE name IN ('session_replication_role', 'row_security', 'search_path', 'role', 'session_preload_libraries',
               'local_preload_libraries') OR name LIKE 'auditvault.%'
UNION ALL
SELECT 'setting', 'this session', name, setting FROM pg_settings
WHERE (name, setting) IN (('session_replication_role', 'replica'), ('session_replication_role', 'local'))
