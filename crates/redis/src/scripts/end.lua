#!lua flags=allow-oom
-- Ends a live job. The first ending wins.
--
-- ARGV: 6 status, 7 '1' with a reason, 8 reason.
-- Replies: {'ok', seq, v, h, r}, {'not_started'} to a completion, {'ended', status}; and as in start.lua.
local job, reply = admit()
if not job then return reply end
local status = tonumber(ARGV[6])
if not is_live(job) then return ended(job) end -- guard
if status == COMPLETED and job.status == PENDING then return { 'not_started' } end -- guard
finish(job, status, ARGV[7] == '1' and ARGV[8] or nil, time_for(job, clock()))
commit(job)
return accepted(job)
