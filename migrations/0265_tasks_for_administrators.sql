-- Administrators see what people are still to be told and what was given up, and have it tried again: so a gateway may look at
-- deliveries, and make one due. It can neither add nor take away one, nor change whom it is for.
GRANT USAGE ON SCHEMA notify TO hansard_gateway;
GRANT SELECT, UPDATE (state, due_at, tries, reason, changed_at) ON notify.deliveries TO hansard_gateway;
