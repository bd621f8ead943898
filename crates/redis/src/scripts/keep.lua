#!lua flags=allow-oom
-- Sets the delay of a job's removal, from its end, or from now if it has ended. The last call wins.
--
-- ARGV: 6 milliseconds, empty for never.
-- Replies: {'ok', seq, v, h, r}; and as in start.lua.
local job, reply = admit(read_job)
if not job then return reply end
if is_live(job) then
  set(job, 'k', ARGV[6])
else
  set(job, 'd', after(time_for(job, clock()), ARGV[6]))
end
set(job, 'r', text(tonumber(job.r) + 1))
commit(job)
return accepted(job)
