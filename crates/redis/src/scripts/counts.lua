#!lua flags=allow-oom
-- Returns the time, the number of changes, and the number of jobs of each status, all of one instant. As
-- read.lua, it is not flagged `no-writes`.
--
-- Reply: {now, seq, pending, running, stopping, completed, failed, cancelled}, absent if never used.
local counts = redis.call('HMGET', COUNT, 'seq', '1', '2', '3', '4', '5', '6')
table.insert(counts, 1, text(clock()))
return counts
