#!lua flags=allow-oom
-- Carries out what is due for up to 100 jobs: fails those whose deadline has passed, cancels those whose
-- time to stop is over, and removes ended ones. A job that is not due, or does not exist, gets its place
-- in the sorted sets back.
--
-- ARGV: 6 the time at which the sweep began; from 7 on, for each job what may be removed: '*' anything,
-- otherwise the `v` for which the removal hook has run.
-- Reply: {'ok', '', then for each job 'expired', 'cancelled', 'removed', 'hook' if the hook has to run
-- first, 'leased', 'unreadable', or 'none'}.
local now = clock()
local began = math.min(now, tonumber(ARGV[6]))
local reply = { 'ok', '' }
local function is_over(time)
  return time and tonumber(time) <= began
end
check_shared()
local jobs, names = all_jobs(check_job), {}
for i, job in ipairs(jobs) do
  if job and job ~= 'unreadable' then
    local is_read, name = pcall(own_key, job)
    if is_read then names[i] = name else jobs[i] = 'unreadable' end
  end
end
for i, job in ipairs(jobs) do
  local allowed, done = ARGV[6 + i], 'none'
  if job == 'unreadable' then -- guard
    put_off(DUE, i, now)
    done = job
  elseif not job then
    local id = id_in(KEYS[2 + 3 * i])
    if RESENT and redis.call('HGET', KEYS[4 + 3 * i], 'o') == CALL then done = 'removed' end
    redis.call('ZREM', DUE, id)
    redis.call('ZREM', ALL, id)
  elseif RESENT and job.o == CALL then -- guard
    done = job.status == CANCELLED and 'cancelled' or 'expired'
  elseif is_live(job) and is_leased(job, now, '') then -- guard
    index(DUE, job, job.was_due)
    done = 'leased'
  elseif is_live(job) and is_over(job.w) then -- guard
    finish(job, CANCELLED, nil, time_for(job, now))
    commit(job)
    done = 'cancelled'
  elseif is_live(job) and is_over(job.y) then -- guard
    finish(job, FAILED, 'deadline exceeded after ' .. job.b, time_for(job, now))
    commit(job)
    done = 'expired'
  elseif not is_live(job) and is_over(job.d) then -- guard
    if allowed == '*' or allowed == job.v then
      delete(job, names[i])
      done = 'removed'
    else
      done = 'hook'
    end
  else
    index(DUE, job, job.was_due)
  end
  table.insert(reply, done)
end
return reply
