-- Administrators see what people are still to be told and what was given up, and have it tried again: so a gateway may look at
-- deliveries, and make one due. It can neither add nor take away one, nor change whom it is for.
GRANT USAGE ON SCHEMA notify TO hansard_gateway;
GRANT SELECT, UPDATE (state, due_at, tries, reason, changed_at) ON notify.deliveries TO hansard_gateway;
-- They look at a page of the latest, whatever is queued: what is told and what is dead has an index already.
CREATE INDEX deliveries_untried ON notify.deliveries (changed_at, account_id) WHERE state = 'pending' AND tries = 0;
CREATE INDEX deliveries_tried ON notify.deliveries (changed_at, account_id) WHERE state = 'pending' AND tries > 0;
