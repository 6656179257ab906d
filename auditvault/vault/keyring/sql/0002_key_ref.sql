-- Which root key of the provider wraps a region KEK. Empty for rows from before there was one for each epoch: those are
-- wrapped under that of the first.
ALTER TABLE keyring_region_key ADD COLUMN key_ref text NOT NULL DEFAULT ''
    CHECK (key_ref ~ '^[ -~]*$' AND length(key_ref) <= 1024);
