#!lua
-- Begins the next attempt of a failed, cancelled or stalled job: pending, at 0 %, with the payload as it
-- is. Not allowed when memory is full.
--
-- ARGV: 6 nonce of the new attempt.
-- Replies: {'ok', seq, v, h, r}, {'not_retryable', status}, {'attempts_exhausted'}, {'leased'} for a stalled
-- job; and as in start.lua.
local job, reply = admit(read_job)
if not job then return reply end
local now = clock()
local is_over = job.status == FAILED or job.status == CANCELLED or is_stalled(job, now)
if not is_over then return { 'not_retryable', text(job.status) } end -- guard
if job.attempt == LAST_ATTEMPT then return { 'attempts_exhausted' } end -- guard
if is_leased(job, now, '') then return { 'leased' } end -- guard
job.attempt, job.status, job.ppm = job.attempt + 1, PENDING, 0
set(job, 'n', ARGV[6])
set(job, 'h', text(math.max(now, tonumber(job.h) + 1)))
set(job, 's', nil)
set(job, 'z', nil)
set(job, 'd', nil)
set(job, 'k', nil)
set(job, 'w', nil)
give_up_lease(job)
set(job, 'y', after(now, job.x))
set_text(job, 'n', nil)
set_text(job, 'r', nil)
commit(job)
return accepted(job)
