#!lua flags=allow-oom
-- Fails those of up to 100 jobs that are stalled, by the server's clock and the heartbeats that it reads.
-- A job that is not stalled, or does not exist, gets its place in the sorted sets back.
--
-- ARGV: 6 the time since which the caller trusts the server's clock, or empty: silence before it does not
-- count. 7 the time until which the caller trusts it, or empty: after it, nothing is judged.
-- Reply: {'ok', '', then for each job {v, h, r} if the call failed it, {'unreadable'}, and otherwise {}}.
local now = clock()
local trusted, latest = tonumber(ARGV[6]) or 0, tonumber(ARGV[7])
local is_trusted = not latest or now <= latest
local reply = { 'ok', '' }
check_shared()
for i, job in ipairs(all_jobs(check_job)) do
  local failed = false
  if job == 'unreadable' then -- guard
    put_off(RUN, i, now)
  elseif not job then
    redis.call('ZREM', RUN, id_in(KEYS[2 + 3 * i]))
  elseif RESENT and job.o == CALL then -- guard
    failed = true
  elseif is_leased(job, now, '') or not is_trusted then -- guard
    index(RUN, job, job.was_run)
  elseif is_stalled(job, now, trusted) then -- guard
    fail_stalled(job, now)
    commit(job)
    failed = true
  else
    index(RUN, job, job.was_run)
  end
  if job == 'unreadable' then
    table.insert(reply, { job })
  else
    table.insert(reply, failed and { job.v, job.h, job.r } or {})
  end
end
return reply
