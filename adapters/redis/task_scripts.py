"""The scripts of the task queue. Each change is one of them, so no entry is in two places, or in none."""

# KEYS: known, stream. ARGV: name, entry.
ADD = """
    if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
    redis.call('XADD', KEYS[2], '*', 'task', ARGV[2])
    return 1
"""
# These three answer 0 and change nothing where somebody else holds the entry by now: another consumer, or another of this
# one's, to whom it was delivered once more.
# KEYS: stream, known. ARGV: group, id, consumer, deliveries, name.
DONE = """
    local held = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1)
    if #held == 0 or held[1][2] ~= ARGV[3] or held[1][4] ~= tonumber(ARGV[4]) then return 0 end
    redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
    if redis.call('XDEL', KEYS[1], ARGV[2]) == 1 then redis.call('HDEL', KEYS[2], ARGV[5]) end
    return 1
"""
# KEYS: stream, later, known. ARGV: group, id, consumer, deliveries, entry, milliseconds from now, name (empty: nobody here knows it).
# What is known of a name is its entry as it waits, so that it is found among however many.
LATER = """
    local held = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1)
    if #held == 0 or held[1][2] ~= ARGV[3] or held[1][4] ~= tonumber(ARGV[4]) then return 0 end
    redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
    if redis.call('XDEL', KEYS[1], ARGV[2]) == 0 then return 0 end
    local clock = redis.call('TIME')
    redis.call('ZADD', KEYS[2], clock[1] * 1000 + math.floor(clock[2] / 1000) + ARGV[6], ARGV[5])
    if ARGV[7] ~= '' then redis.call('HSET', KEYS[3], ARGV[7], ARGV[5]) end
    return 1
"""
# KEYS: later, stream. ARGV: how many at most; 1 for all, whether due or not.
DUE = """
    local clock = redis.call('TIME')
    local now = ARGV[2] == '1' and '+inf' or clock[1] * 1000 + math.floor(clock[2] / 1000)
    local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
    for _, entry in ipairs(due) do
        redis.call('ZREM', KEYS[1], entry)
        redis.call('XADD', KEYS[2], '*', 'task', entry)
    end
    return #due
"""
# KEYS: later, stream. ARGV: entry.
NOW = """
    if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end
    redis.call('XADD', KEYS[2], '*', 'task', ARGV[1])
    return 1
"""
# KEYS: stream. ARGV: group, id, consumer, deliveries.
BEAT = """
    local held = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1)
    if #held == 0 or held[1][2] ~= ARGV[3] or held[1][4] ~= tonumber(ARGV[4]) then return 0 end
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[3], 0, ARGV[2], 'JUSTID')
    return 1
"""
