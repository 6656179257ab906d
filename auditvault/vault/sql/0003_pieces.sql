-- Pieces of contents that are too large for one row: the sealed frames that follow the head in the object's row
-- (docs/spec/envelope.md section 7). Ciphertext only.

CREATE TABLE vault_piece (
    tenant_id uuid NOT NULL,
    object_id uuid NOT NULL,
    version integer NOT NULL CHECK (version >= 1),
    number integer NOT NULL CHECK (number >= 0),
    sealed bytea NOT NULL CHECK (octet_length(sealed) BETWEEN 1 AND 1048576),
    PRIMARY KEY (tenant_id, object_id, version, number)
) PARTITION BY RANGE (object_id);
-- Ciphertext does not compress: TOAST must not try.
ALTER TABLE vault_piece ALTER sealed SET STORAGE EXTERNAL;

INSERT INTO auditvault_monthly_table VALUES ('vault_piece', false);
SELECT auditvault_fence('vault_piece', false);
GRANT SELECT ON vault_piece TO auditvault_app;
SELECT auditvault_ensure_month('vault_piece', (now() AT TIME ZONE 'UTC' + make_interval(months => ahead))::date)
FROM generate_series(0, 1) AS ahead;

-- Pieces go with their object, whoever removes it and whatever its row says it is. A foreign key would do the same, and
-- would lock this table whenever a month's partition of the other is attached.
CREATE FUNCTION vault_drop_pieces() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    DELETE FROM vault_piece WHERE tenant_id = OLD.tenant_id AND object_id = OLD.object_id;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION vault_drop_pieces() FROM PUBLIC;
CREATE TRIGGER drop_pieces AFTER DELETE ON vault_object FOR EACH ROW EXECUTE FUNCTION vault_drop_pieces();
