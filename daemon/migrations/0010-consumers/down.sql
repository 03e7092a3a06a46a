DROP INDEX inbox_key;
ALTER TABLE inbox DROP COLUMN key;
ALTER TABLE subscriptions DROP COLUMN move_sequence;
ALTER TABLE subscriptions DROP COLUMN move_epoch;
