#!lua flags=allow-oom
-- Asks a running job to stop, and cancels a pending one.
--
-- ARGV: 6 reason.
-- Replies: {'ok', seq, v, h, r}, {'stopping'} to a second request, {'leased'} for a pending job, {'ended',
-- status}; and as in start.lua.
local job, reply = admit_live(read_job)
if not job then return reply end
if job.status == STOPPING then return { 'stopping' } end -- guard
local now = clock()
local time = time_for(job, now)
if job.status == PENDING then
  if is_leased(job, now, '') then return { 'leased' } end -- guard
  finish(job, CANCELLED, ARGV[6], time)
else
  job.status = STOPPING
  set_text(job, 'r', ARGV[6])
  set(job, 'w', after(time, job.g))
end
commit(job)
return accepted(job)
