-- Who may do what in the database one is connected to, before any table is in it. Idempotent; plain SQL.
--
-- The setting auditvault.connect names the roles besides the owner that may connect, for instance
--     SELECT set_config('auditvault.connect', 'app,retention,signer', false);
DO $$
DECLARE
    short_name text;
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    ALTER SCHEMA public OWNER TO auditvault_owner;
    REVOKE ALL ON SCHEMA public FROM PUBLIC;
    FOREACH short_name IN ARRAY ARRAY['app', 'retention', 'signer'] LOOP
        IF short_name = ANY (string_to_array(current_setting('auditvault.connect'), ',')) THEN
            EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), 'auditvault_' || short_name);
            EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', 'auditvault_' || short_name);
        ELSE
            EXECUTE format('REVOKE ALL ON DATABASE %I FROM %I', current_database(), 'auditvault_' || short_name);
            EXECUTE format('REVOKE ALL ON SCHEMA public FROM %I', 'auditvault_' || short_name);
        END IF;
    END LOOP;
END
$$;
