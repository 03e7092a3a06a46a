DROP TABLE scheduled;
DROP INDEX publications_name;
ALTER TABLE publications DROP COLUMN publisher;
ALTER TABLE publications DROP COLUMN name;
