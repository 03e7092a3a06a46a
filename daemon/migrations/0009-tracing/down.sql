ALTER TABLE counts DROP COLUMN looped;
DROP TABLE loops;
DROP INDEX publications_cause;
DROP TABLE outcomes;
