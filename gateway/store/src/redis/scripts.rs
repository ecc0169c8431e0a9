//! What runs inside Redis: one script an operation, so that each is one step and one round trip. The keys of
//! one lie in one slot of a cluster.

use redis::Script;

/// `KEYS[1]` is a message. Answers `mine`, `busy`, or the marker that was left (`done:…`).
const CLAIM: &str = r"
local state = redis.call('GET', KEYS[1])
if not state then
    redis.call('SET', KEYS[1], 'claim:' .. ARGV[1], 'PX', ARGV[2])
    return 'mine'
end
if string.sub(state, 1, 5) == 'done:' then return state end
return 'busy'
";

/// The marker (`ARGV[1]`) replaces whatever claim stands at `KEYS[1]`: the effect is in the store by now.
const FINISH: &str = r"
redis.call('SET', KEYS[1], 'done:' .. ARGV[1], 'PX', ARGV[2])
return 1
";

/// Moves the position at `KEYS[1]` up to `ARGV[1]` and tells all who listen on `ARGV[2]`, `ARGV[3]` before it.
/// Somebody who is later than another says nothing.
const RAISE: &str = r"
local seen = tonumber(redis.call('GET', KEYS[1]) or '-1')
if tonumber(ARGV[1]) <= seen then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('PUBLISH', ARGV[2], ARGV[3] .. ARGV[1])
return 1
";

/// Tells all who listen on `ARGV[1]`. The key, which is not used, leads to a node of a cluster.
const TELL: &str = r"
return redis.call('PUBLISH', ARGV[1], ARGV[2])
";

/// Deletes `KEYS[1]` when it still holds `ARGV[1]`.
const DELETE_IF: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
";

/// `KEYS[1]` is a lock, `KEYS[2]` its counter. Answers the holder's token, which begins with a
/// number higher than that of every holder before, or nothing while somebody holds it.
const LOCK: &str = r"
if redis.call('EXISTS', KEYS[1]) == 1 then return false end
local fence = redis.call('INCR', KEYS[2])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
local token = fence .. ':' .. ARGV[1]
redis.call('SET', KEYS[1], token, 'PX', ARGV[2])
return token
";

/// `ARGV[1]` calls in `ARGV[2]` microseconds, `ARGV[3]` at once (the generic cell rate algorithm). `KEYS[1]` holds the
/// moment at which the caller has rested, by the clock of Redis. Answers 0, or the microseconds to wait. A moment that
/// lies further off than any call puts it is what a clock left that was set back.
const COUNT: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval = ARGV[2] / ARGV[1]
local rested = tonumber(redis.call('GET', KEYS[1]) or '0')
rested = math.max(math.min(rested, now + interval * ARGV[3]), now) + interval
local wait = rested - interval * ARGV[3] - now
if wait >= 1 then return math.ceil(wait) end
redis.call('SET', KEYS[1], string.format('%.3f', rested), 'PX', math.ceil((rested - now) / 1000))
return 0
";

/// Tells Redis the store's position (`ARGV[1]`) and answers the highest one seen before, or -1. It
/// writes, so that a Redis that cannot write counts as away.
const GREET: &str = r"
local seen = tonumber(redis.call('GET', KEYS[1]) or '-1')
redis.call('SET', KEYS[1], ARGV[1])
return seen
";

pub(super) struct Scripts {
    pub claim: Script,
    pub finish: Script,
    pub raise: Script,
    pub tell: Script,
    pub count: Script,
    pub delete_if: Script,
    pub lock: Script,
    pub greet: Script,
}

impl Scripts {
    pub fn new() -> Self {
        Scripts {
            claim: Script::new(CLAIM),
            finish: Script::new(FINISH),
            raise: Script::new(RAISE),
            tell: Script::new(TELL),
            count: Script::new(COUNT),
            delete_if: Script::new(DELETE_IF),
            lock: Script::new(LOCK),
            greet: Script::new(GREET),
        }
    }
}
