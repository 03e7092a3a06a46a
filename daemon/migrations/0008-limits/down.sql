-- An older version would deliver to everyone what was addressed to some.
DELETE FROM scheduled WHERE audience IS NOT NULL;
DELETE FROM publications WHERE audience IS NOT NULL;
UPDATE logs SET bytes = (SELECT coalesce(sum(octet_length(payload)), 0) FROM publications WHERE log = logs.id);
UPDATE signed_groups SET remaining = (SELECT count(*) FROM publications WHERE signed_group = signed_groups.id);
DELETE FROM signed_groups WHERE remaining = 0;

ALTER TABLE inbox DROP COLUMN replayed;
ALTER TABLE counts DROP COLUMN expired;
ALTER TABLE inbox_cursors DROP COLUMN expired;
ALTER TABLE inbox_publications DROP COLUMN expires;
ALTER TABLE issued_tokens DROP COLUMN filter;
ALTER TABLE subscriptions DROP COLUMN filter;
ALTER TABLE scheduled DROP COLUMN audience;
ALTER TABLE scheduled DROP COLUMN ttl;
DROP INDEX publications_limited;
ALTER TABLE publications DROP COLUMN audience;
ALTER TABLE publications DROP COLUMN expires;
