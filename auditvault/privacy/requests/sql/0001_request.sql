-- Requests about people's data (docs/spec/privacy-requests.md). Ids, days, digests and keyed tags: no name, and no word
-- of whoever asks. Taken in and moved by the two functions below only; the rules that must not depend on any program
-- are constraints.

CREATE TABLE privacy_request (
    tenant_id uuid NOT NULL,
    request_id uuid NOT NULL,
    kind text NOT NULL
        CHECK (kind IN ('erasure', 'access', 'portability', 'rectification', 'restriction', 'objection')),
    regime text NOT NULL CHECK (regime ~ '^[a-z][a-z0-9_]{0,30}$'),
    regime_version text NOT NULL,
    received_at timestamptz NOT NULL,
    acknowledge_by date,
    answer_by date NOT NULL,
    extended_by date,
    -- The first instant that is too late, without and with an extension.
    due_at timestamptz NOT NULL,
    extended_due_at timestamptz,
    -- Where the requester's own words are sealed.
    words_object uuid,
    state text NOT NULL,
    step integer NOT NULL CHECK (step >= 0),
    -- Every human who took it in or moved it.
    hands uuid[] NOT NULL CHECK (cardinality(hands) >= 1),
    is_identified boolean NOT NULL,
    manifest bytea CHECK (octet_length(manifest) = 32),
    approved_manifest bytea,
    approved_by uuid,
    has_begun boolean NOT NULL,
    is_extended boolean NOT NULL,
    CHECK (num_nulls(extended_by, extended_due_at) IN (0, 2)),
    CHECK (extended_by IS NOT NULL OR NOT is_extended),
    CHECK (num_nulls(approved_manifest, approved_by) IN (0, 2)),
    CONSTRAINT identity_first CHECK (is_identified
        OR state IN ('received', 'identity_pending', 'refused', 'withdrawn', 'duplicate', 'closed')),
    CONSTRAINT known_state CHECK (state IN ('received', 'identity_pending', 'identified', 'scoped', 'assessed',
        'awaiting_approval', 'scheduled', 'executing', 'keys_destroyed', 'verifying', 'backup_pending', 'notifying',
        'certified', 'closed', 'held', 'failed_retry', 'refused', 'withdrawn', 'duplicate')),
    CONSTRAINT manifest_first CHECK (manifest IS NOT NULL
        OR state NOT IN ('scoped', 'assessed', 'awaiting_approval')),
    CONSTRAINT approval_first CHECK (
        state NOT IN ('scheduled', 'executing', 'keys_destroyed', 'verifying', 'backup_pending', 'notifying',
                      'certified', 'held', 'failed_retry')
        OR (manifest IS NOT NULL AND approved_manifest IS NOT NULL AND approved_manifest = manifest)),
    PRIMARY KEY (tenant_id, request_id)
);
CREATE INDEX privacy_request_due ON privacy_request (tenant_id, due_at)
    WHERE state NOT IN ('closed', 'withdrawn', 'duplicate');

-- What names the person.
CREATE TABLE privacy_request_tag (
    tenant_id uuid NOT NULL,
    request_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind ~ '^[a-z][a-z_]{0,30}$'),
    tag bytea NOT NULL CHECK (octet_length(tag) = 32),
    normalisation smallint NOT NULL CHECK (normalisation >= 0),
    PRIMARY KEY (tenant_id, request_id, kind, tag),
    FOREIGN KEY (tenant_id, request_id) REFERENCES privacy_request (tenant_id, request_id)
);

-- The timeline.
CREATE TABLE privacy_request_step (
    tenant_id uuid NOT NULL,
    request_id uuid NOT NULL,
    step integer NOT NULL CHECK (step >= 0),
    action text NOT NULL CHECK (action ~ '^[a-z_]{1,31}$'),
    from_state text,
    to_state text NOT NULL,
    actor text NOT NULL,
    -- The admin record that says so.
    record_id uuid NOT NULL,
    taken_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, request_id, step),
    FOREIGN KEY (tenant_id, request_id) REFERENCES privacy_request (tenant_id, request_id)
);

SELECT auditvault_fence('privacy_request', false);
SELECT auditvault_fence('privacy_request_tag', true);
SELECT auditvault_fence('privacy_request_step', true);
GRANT SELECT ON privacy_request, privacy_request_tag, privacy_request_step TO auditvault_app;

CREATE FUNCTION privacy_request_refuse_change() RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    fixed text[] := ARRAY['state', 'step', 'hands', 'is_identified', 'manifest', 'approved_manifest', 'approved_by',
                          'has_begun', 'is_extended'];
BEGIN
    -- What was decided once stays: who had a hand in it, that it was identified, begun or extended. And whoever approves
    -- has had no hand in it before.
    IF TG_OP = 'UPDATE' AND to_jsonb(NEW) - fixed = to_jsonb(OLD) - fixed AND NEW.step = OLD.step + 1
        AND OLD.hands <@ NEW.hands AND NEW.is_identified >= OLD.is_identified AND NEW.has_begun >= OLD.has_begun
        AND NEW.is_extended >= OLD.is_extended AND OLD.state NOT IN ('closed', 'withdrawn', 'duplicate')
        AND (NEW.approved_by IS NULL OR NEW.approved_by IS NOT DISTINCT FROM OLD.approved_by
             OR NEW.approved_by <> ALL (OLD.hands)) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% of % is refused', TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON privacy_request
    FOR EACH ROW EXECUTE FUNCTION privacy_request_refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON privacy_request
    FOR EACH STATEMENT EXECUTE FUNCTION auditvault_refuse_change();

-- Takes in a request of the transaction's tenant, at its beginning, with its tags and the first step.
CREATE FUNCTION privacy_request_receive(received privacy_request, kinds text[], tags bytea[], versions smallint[],
                                        p_actor text, p_record uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    IF received.tenant_id IS DISTINCT FROM auditvault_tenant() OR received.state <> 'received' OR received.step <> 0
        OR received.is_identified OR received.has_begun OR received.is_extended
        OR num_nonnulls(received.manifest, received.approved_manifest, received.approved_by) > 0 THEN
        RAISE EXCEPTION 'a request begins at its beginning' USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO privacy_request SELECT received.*;
    INSERT INTO privacy_request_tag SELECT received.tenant_id, received.request_id, * FROM unnest(kinds, tags, versions);
    INSERT INTO privacy_request_step VALUES (received.tenant_id, received.request_id, 0, 'receive', NULL, 'received',
                                             p_actor, p_record, clock_timestamp());
END
$$;

-- Writes where a request is now, with its step; whether nobody has moved it meanwhile.
CREATE FUNCTION privacy_request_move(moved privacy_request, p_action text, p_actor text, p_record uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    before text;
BEGIN
    IF moved.tenant_id IS DISTINCT FROM auditvault_tenant() THEN
        RAISE EXCEPTION 'a request is of the tenant' USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT r.state INTO before FROM privacy_request AS r WHERE r.tenant_id = moved.tenant_id
        AND r.request_id = moved.request_id AND r.step = moved.step - 1 FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE privacy_request AS r SET state = moved.state, step = moved.step, hands = moved.hands,
        is_identified = moved.is_identified, manifest = moved.manifest, approved_manifest = moved.approved_manifest,
        approved_by = moved.approved_by, has_begun = moved.has_begun, is_extended = moved.is_extended
        WHERE r.tenant_id = moved.tenant_id AND r.request_id = moved.request_id;
    INSERT INTO privacy_request_step VALUES (moved.tenant_id, moved.request_id, moved.step, p_action, before,
                                             moved.state, p_actor, p_record, clock_timestamp());
    RETURN true;
END
$$;

REVOKE ALL ON FUNCTION privacy_request_refuse_change(),
    privacy_request_receive(privacy_request, text[], bytea[], smallint[], text, uuid),
    privacy_request_move(privacy_request, text, text, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION privacy_request_receive(privacy_request, text[], bytea[], smallint[], text, uuid),
    privacy_request_move(privacy_request, text, text, uuid) TO auditvault_app;
