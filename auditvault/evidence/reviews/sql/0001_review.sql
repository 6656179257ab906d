-- Access reviews: the list of who can see content in a place, frozen once a quarter, and its sign-off, once. Nobody
-- changes either. Staff stand in them by their public ids; `review_id` is the admin record that says it was opened.
CREATE TABLE access_review (
    tenant_id uuid NOT NULL,
    review_id uuid NOT NULL,
    quarter text NOT NULL CHECK (quarter ~ '^2[01][0-9]{2}-Q[1-4]$'),
    opened_at timestamptz NOT NULL,
    opened_by uuid NOT NULL,
    opener text NOT NULL CHECK (length(opener) BETWEEN 1 AND 128),
    list bytea NOT NULL CHECK (octet_length(list) <= 33554432),
    list_sha256 bytea NOT NULL CHECK (list_sha256 = sha256(list)),
    PRIMARY KEY (tenant_id, review_id),
    UNIQUE (tenant_id, quarter)
);
SELECT auditvault_fence('access_review', true);
GRANT SELECT, INSERT ON access_review TO auditvault_app;

CREATE TABLE access_review_sign_off (
    tenant_id uuid NOT NULL,
    review_id uuid NOT NULL,
    signed_at timestamptz NOT NULL,
    signed_by uuid NOT NULL,
    signer text NOT NULL CHECK (length(signer) BETWEEN 1 AND 128),
    decisions bytea NOT NULL CHECK (octet_length(decisions) <= 33554432),
    -- The admin record that says so.
    record_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, review_id),
    FOREIGN KEY (tenant_id, review_id) REFERENCES access_review (tenant_id, review_id)
);
SELECT auditvault_fence('access_review_sign_off', true);
GRANT SELECT, INSERT ON access_review_sign_off TO auditvault_app;

-- Tenants that have signed a quarter's review off, of all: for a figure that says how many have not, and names none.
CREATE FUNCTION access_reviews_signed(of_quarter text) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT r.tenant_id FROM access_review AS r JOIN access_review_sign_off AS s USING (tenant_id, review_id)
    WHERE r.quarter = of_quarter
$$;
REVOKE ALL ON FUNCTION access_reviews_signed(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access_reviews_signed(text) TO auditvault_app;
