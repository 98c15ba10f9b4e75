"""All sockets of one process: connections and outboxes, subscriptions, fan-out, healing, replay, and presence."""
