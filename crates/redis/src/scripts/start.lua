#!lua
-- Moves a pending job to running. A start counts as a heartbeat. Not allowed when memory is full.
--
-- Replies: {'ok', seq, v, h, r}, {'already_started'}, {'ended', status}; and those of every call on one
-- job: {'absent'}, {'superseded'}, {'unknown'} if it cannot be told whether the call was made.
local job, reply = admit_live(read_job)
if not job then return reply end
if job.status ~= PENDING then return { 'already_started' } end -- guard
local now = clock()
job.status = RUNNING
set(job, 's', text(time_for(job, now)))
set(job, 'h', text(math.max(now, tonumber(job.h))))
commit(job)
return accepted(job)
