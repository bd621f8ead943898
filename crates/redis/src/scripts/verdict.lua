#!lua flags=allow-oom
-- Fails those of up to 100 jobs that are stalled, by the server's clock and the heartbeats that it reads.
-- A job that is not stalled, or does not exist, gets its place in the sorted sets back.
--
-- ARGV: 6 the time since which the caller trusts the server's clock, or empty. Silence before it does not
-- count.
-- Reply: {'ok', '', then for each job {v, h, r} if the call failed it, and otherwise {}}.
local now = clock()
local trusted = tonumber(ARGV[6]) or 0
local reply = { 'ok', '' }
for i, job in ipairs(all_jobs()) do
  local failed = false
  if not job then
    redis.call('ZREM', RUN, string.match(KEYS[2 + 3 * i], '[^:]+$'))
  elseif RESENT and job.o == CALL then -- guard
    failed = true
  elseif is_stalled(job, now, trusted) then -- guard
    fail_stalled(job, now)
    commit(job)
    failed = true
  else
    index(RUN, job, false, run_score(job))
  end
  table.insert(reply, failed and { job.v, job.h, job.r } or {})
end
return reply
