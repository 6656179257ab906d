-- The four roles of an auditvault site. Idempotent; plain SQL, so `psql` and `auditvault up` run the same file.
--
-- Passwords come in as settings of the session, preferably as SCRAM verifiers, for instance
--     SELECT set_config('auditvault.password_owner', 'SCRAM-SHA-256$4096:…', false);
-- and likewise password_app, password_retention and password_signer. A role whose setting is missing keeps the
-- password it has.
DO $$
DECLARE
    short_name text;
    role_name text;
    secret text;
    found pg_roles;
BEGIN
    FOREACH short_name IN ARRAY ARRAY['owner', 'app', 'retention', 'signer'] LOOP
        role_name := 'auditvault_' || short_name;
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', role_name);
        END IF;
        SELECT * INTO STRICT found FROM pg_roles WHERE rolname = role_name;
        -- Checked and not corrected: whoever gave the role these powers should know that it was not meant to be.
        IF found.rolsuper OR found.rolbypassrls OR found.rolcreaterole OR found.rolcreatedb
            OR found.rolreplication
        THEN
            RAISE EXCEPTION 'role % must not be superuser nor hold BYPASSRLS, CREATEROLE, CREATEDB or REPLICATION',
                role_name;
        END IF;
        secret := nullif(current_setting('auditvault.password_' || short_name, true), '');
        IF secret IS NOT NULL THEN
            EXECUTE format('ALTER ROLE %I LOGIN PASSWORD %L', role_name, secret);
        END IF;
    END LOOP;
    -- No role may become another: one stolen password opens one role.
    IF EXISTS (
        SELECT FROM pg_auth_members
        JOIN pg_roles AS granted ON granted.oid = roleid
        JOIN pg_roles AS holder ON holder.oid = member
        WHERE granted.rolname LIKE 'auditvault\_%' AND holder.rolname LIKE 'auditvault\_%'
    ) THEN
        RAISE EXCEPTION 'no auditvault role may be a member of another';
    END IF;
    -- An administrator who is not superuser (a managed server) must be able to make databases for the owner.
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
        AND NOT pg_has_role(current_user, 'auditvault_owner', 'USAGE')
    THEN
        EXECUTE format('GRANT auditvault_owner TO %I', current_user);
    END IF;
END
$$;
