#!lua flags=allow-oom
-- Returns a part of a sorted set in the order of the scores, at most 100 jobs. As read.lua, it is not
-- flagged `no-writes`.
--
-- KEYS: 1 to 4 as always. ARGV: 1 'run', 'due' or 'all'; 2 the first score; 3 the last score, '+inf', or
-- 'now'; 4 number of jobs; 5 number of jobs to skip: those of the first score that have been seen.
-- Reply: {now, id, score, id, score, …}.
local now = clock()
local key, last = ALL, ARGV[3]
if ARGV[1] == 'run' then key = RUN end
if ARGV[1] == 'due' then key = DUE end
if last == 'now' then last = text(now) end
local limit = text(math.min(tonumber(ARGV[4]), 100))
local found = redis.call('ZRANGE', key, ARGV[2], last, 'BYSCORE', 'LIMIT', ARGV[5], limit, 'WITHSCORES')
table.insert(found, 1, text(now))
return found
