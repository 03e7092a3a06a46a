-- After which place a subscriber is to go on, until it has been told.
ALTER TABLE subscriptions ADD COLUMN move_epoch INTEGER;
ALTER TABLE subscriptions ADD COLUMN move_sequence INTEGER;

-- What tells those apart that are handled in order from those that are handled at once, as far as the runner of the
-- subscription has looked: a hash of what the receiver's `order_key` finds in the payload.
ALTER TABLE inbox ADD COLUMN key INTEGER;
CREATE INDEX inbox_key ON inbox (subscription, key, epoch, sequence) WHERE key IS NOT NULL;
