-- Who is mentioned in which content: keyed tags of what was found there, the same that identifiers have
-- (docs/spec/mentions.md). No clear text. Rows go with their object, whatever takes that away.

CREATE TABLE vault_mention (
    tenant_id uuid NOT NULL,
    object_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind ~ '^[a-z][a-z_]{0,30}$'),
    tag bytea NOT NULL CHECK (octet_length(tag) = 32),
    PRIMARY KEY (tenant_id, object_id, kind, tag),
    FOREIGN KEY (tenant_id, object_id) REFERENCES vault_object (tenant_id, object_id) ON DELETE CASCADE
);
CREATE INDEX vault_mention_tag ON vault_mention (tenant_id, kind, tag);
SELECT auditvault_fence('vault_mention', false);
GRANT SELECT ON vault_mention TO auditvault_app;

-- Whom a content mentions, as a look whose claim still holds found it, in place of what an earlier one did; whether the
-- claim held.
CREATE FUNCTION vault_note_mentions(p_claim uuid, p_object uuid, p_version integer, p_kinds text[], p_tags bytea[])
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    -- The object first: who removes it waits, and is not waited for by us afterwards.
    PERFORM FROM vault_object AS o WHERE o.tenant_id = auditvault_tenant() AND o.object_id = p_object
        AND o.version = p_version FOR KEY SHARE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM FROM vault_scan AS s WHERE s.tenant_id = auditvault_tenant() AND s.object_id = p_object
        AND s.claim = p_claim AND s.version = p_version FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM vault_mention AS m WHERE m.tenant_id = auditvault_tenant() AND m.object_id = p_object;
    INSERT INTO vault_mention (tenant_id, object_id, kind, tag)
    SELECT auditvault_tenant(), p_object, found.kind, found.tag FROM unnest(p_kinds, p_tags) AS found (kind, tag)
    ON CONFLICT DO NOTHING;
    RETURN true;
END
$$;

REVOKE ALL ON FUNCTION vault_note_mentions(uuid, uuid, integer, text[], bytea[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vault_note_mentions(uuid, uuid, integer, text[], bytea[]) TO auditvault_app;
