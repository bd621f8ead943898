#!lua flags=allow-oom
-- Records that up to 100 jobs are alive now. A heartbeat never moves backward, and is not a change that
-- a client can see. It may be repeated: it is not marked, and its refusals are exact.
--
-- KEYS: 1 to 4 as always, then j of each job.
-- ARGV: from 6 on, for each job the attempt and the nonce, both empty by id.
-- Reply: {'ok', '', then for each job a code and a status: 'ok', 'absent', 'superseded', 'ended' or
-- 'unreadable'}.
local now = clock()
local reply = { 'ok', '' }
redis.call('ZCARD', RUN) -- guard
for i = 1, #KEYS - 4 do
  local is_read, job = pcall(read_beat, KEYS[4 + i])
  local attempt, nonce = ARGV[4 + 2 * i], ARGV[5 + 2 * i]
  local code, status = 'ok', ''
  if not is_read then -- guard
    code = 'unreadable'
  elseif not job then
    code = 'absent'
  elseif is_superseded(job, attempt, nonce) then -- guard
    code = 'superseded'
  elseif not is_live(job) then -- guard
    code, status = 'ended', text(job.status)
  elseif now > tonumber(job.h) then -- guard
    job.h = text(now)
    redis.call('HSET', job.key, 'h', job.h)
    local run = scores(job)
    if run ~= job.was_run then index(RUN, job, run) end
  end
  reply[1 + 2 * i], reply[2 + 2 * i] = code, status
end
return reply
