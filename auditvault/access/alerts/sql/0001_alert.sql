-- Alerts: what somebody must hear of at once. Written in the transaction of what they are about, with an entry
-- `alert.raised` of the tenant's admin log, whose record has the same id. `details` is canonical JSON: references only.
CREATE TABLE access_alert (
    tenant_id uuid NOT NULL,
    alert_id uuid NOT NULL,
    raised_at timestamptz NOT NULL,
    kind text NOT NULL CHECK (kind ~ '^[a-z_]{1,64}$'),
    details bytea NOT NULL CHECK (octet_length(details) <= 16384),
    PRIMARY KEY (tenant_id, alert_id)
);
SELECT auditvault_fence('access_alert', true);
GRANT SELECT, INSERT ON access_alert TO auditvault_app;

-- An alert on its way: to one receiver, and of an e-mail to one person, both by ids that mean something in the control
-- database alone. The nil receiver stands for finding out who the receivers are, which is done once for each alert.
CREATE TABLE access_alert_delivery (
    tenant_id uuid NOT NULL,
    alert_id uuid NOT NULL,
    receiver_id uuid NOT NULL,
    recipient_id uuid NOT NULL,
    state text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'delivered', 'given_up')),
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    outcome text CHECK (outcome ~ '^[a-z0-9_]{1,64}$'),
    PRIMARY KEY (tenant_id, alert_id, receiver_id, recipient_id),
    FOREIGN KEY (tenant_id, alert_id) REFERENCES access_alert
);
CREATE INDEX access_alert_delivery_due ON access_alert_delivery (due_at) WHERE state = 'due';
SELECT auditvault_fence('access_alert_delivery', false);
GRANT SELECT ON access_alert_delivery TO auditvault_app;

-- No alert without its way, whoever writes it.
CREATE FUNCTION auditvault_alert_on_its_way() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    INSERT INTO access_alert_delivery (tenant_id, alert_id, receiver_id, recipient_id)
    VALUES (NEW.tenant_id, NEW.alert_id, '00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000000');
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION auditvault_alert_on_its_way() FROM PUBLIC;
CREATE TRIGGER on_its_way AFTER INSERT ON access_alert FOR EACH ROW EXECUTE FUNCTION auditvault_alert_on_its_way();

-- Claims the delivery that has waited longest, of whichever tenant: for `lease` it is nobody else's. No row: none is due.
CREATE FUNCTION auditvault_claim_delivery(lease interval)
RETURNS TABLE (tenant_id uuid, alert_id uuid, receiver_id uuid, recipient_id uuid, attempts integer,
               kind text, raised_at timestamptz, details bytea)
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH claimed AS (
        UPDATE access_alert_delivery AS d SET attempts = d.attempts + 1, due_at = clock_timestamp() + lease
        WHERE (d.tenant_id, d.alert_id, d.receiver_id, d.recipient_id) = (
            SELECT w.tenant_id, w.alert_id, w.receiver_id, w.recipient_id FROM access_alert_delivery AS w
            WHERE w.state = 'due' AND w.due_at <= clock_timestamp() ORDER BY w.due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING d.*
    )
    SELECT c.tenant_id, c.alert_id, c.receiver_id, c.recipient_id, c.attempts, a.kind, a.raised_at, a.details
    FROM claimed AS c JOIN access_alert AS a USING (tenant_id, alert_id)
$$;

-- Says how an attempt ended. With `again_after` it is due once more, else this was the last. False: another attempt has
-- begun since, and is not disturbed.
CREATE FUNCTION auditvault_end_delivery(
    tenant uuid, alert uuid, receiver uuid, recipient uuid, attempt integer,
    is_delivered boolean, said text, again_after interval
) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH ended AS (
        UPDATE access_alert_delivery SET
            outcome = said,
            state = CASE WHEN is_delivered THEN 'delivered' WHEN again_after IS NULL THEN 'given_up' ELSE 'due' END,
            due_at = clock_timestamp() + coalesce(again_after, '0'),
            ended_at = CASE WHEN is_delivered OR again_after IS NULL THEN clock_timestamp() END
        WHERE tenant_id = tenant AND alert_id = alert AND receiver_id = receiver AND recipient_id = recipient
            AND attempts = attempt AND state = 'due'
        RETURNING 1
    )
    SELECT EXISTS (SELECT FROM ended)
$$;

-- Sends an alert on to its receivers. Who is on the list already stays as they are, so it can be said again.
CREATE FUNCTION auditvault_distribute_alert(
    tenant uuid, alert uuid, attempt integer, receivers uuid[], recipients uuid[]
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    INSERT INTO access_alert_delivery (tenant_id, alert_id, receiver_id, recipient_id)
    SELECT tenant, alert, r.receiver, r.recipient FROM unnest(receivers, recipients) AS r (receiver, recipient)
    ON CONFLICT DO NOTHING;
    SELECT auditvault_end_delivery(
        tenant, alert, '00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000000', attempt,
        cardinality(receivers) > 0,
        CASE WHEN cardinality(receivers) > 0 THEN 'distributed' ELSE 'nobody_to_tell' END, NULL)
$$;

-- For metrics: how many deliveries stand how, of all tenants together, and since when the oldest one is due.
CREATE FUNCTION auditvault_delivery_figures() RETURNS TABLE (state text, deliveries bigint, oldest timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT d.state, count(*), min(a.raised_at) FROM access_alert_delivery AS d JOIN access_alert AS a USING (tenant_id, alert_id)
    GROUP BY d.state
$$;

REVOKE ALL ON FUNCTION auditvault_claim_delivery(interval),
    auditvault_end_delivery(uuid, uuid, uuid, uuid, integer, boolean, text, interval),
    auditvault_distribute_alert(uuid, uuid, integer, uuid[], uuid[]), auditvault_delivery_figures() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION auditvault_claim_delivery(interval),
    auditvault_end_delivery(uuid, uuid, uuid, uuid, integer, boolean, text, interval),
    auditvault_distribute_alert(uuid, uuid, integer, uuid[], uuid[]), auditvault_delivery_figures() TO auditvault_app;
