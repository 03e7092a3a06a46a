ALTER TABLE signed_groups DROP COLUMN issuer;
DROP TABLE advertised;
DROP TABLE remotes;
DROP TABLE followed;
DROP TABLE retired_keys;
