#!lua flags=allow-oom
-- Reads up to 100 jobs. It changes nothing, and is not flagged `no-writes`: a replica would accept such a
-- script and answer with an old state.
--
-- KEYS: for each job j to read 's', j and f to read 'w', and j and p to read 'd' or 'r'.
-- ARGV: 1 what to read: 's' state, 'd' details, 'r' details and payload, 'w' the state, also of a job that
-- was removed less than a minute ago.
-- Reply: {for each job {} if there is none, {v, h, r}, {v, h, r, a, s, z, d, note, reason}, or {v, h, r, a,
-- s, z, d, note, reason, payload, codec, u}}. A fourth element 'removed' follows the state of a removed job.
local what = ARGV[1]
local reply = {}
for i = 1, #KEYS, what == 's' and 1 or 2 do
  local job
  if what == 's' then
    job = redis.call('HMGET', KEYS[i], 'v', 'h', 'r')
  elseif what == 'w' then
    job = redis.call('HMGET', KEYS[i], 'v', 'h', 'r')
    if not job[1] then
      job = redis.call('HMGET', KEYS[i + 1], 'v', 'h', 'r')
      job[4] = 'removed'
    end
  else
    job = redis.call('HMGET', KEYS[i], 'v', 'h', 'r', 'a', 's', 'z', 'd', 'u')
    local more = redis.call('HMGET', KEYS[i + 1], 'n', 'r', 'd', 'c')
    local revision = job[8]
    job[8], job[9] = more[1], more[2]
    if what == 'r' then job[10], job[11], job[12] = more[3], more[4], revision end
  end
  table.insert(reply, job[1] and job or {})
end
return reply
