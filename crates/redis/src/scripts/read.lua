#!lua flags=allow-oom
-- Reads up to 100 jobs. It changes nothing, and is not flagged `no-writes`: a replica would accept such a
-- script and answer with an old state.
--
-- ARGV: 1 what to read: 's' state, 'd' details, 'r' details and payload, 'w' the state, also of a job that
-- was removed less than a minute ago, 't' the state of a stalled job.
-- Reply: {now, then for each job {} if there is none, {v, h, r}, {v, h, r, a, s, z, d, note, reason}, or
-- {v, h, r, a, s, z, d, note, reason, payload, codec, u}. A fourth element 'removed' follows the state of
-- a removed job}.
local now = clock()
local what = ARGV[1]
local reply = { text(now) }
for i = 1, (#KEYS - 4) / 3 do
  local key, texts, final = KEYS[2 + 3 * i], KEYS[3 + 3 * i], KEYS[4 + 3 * i]
  local job = {}
  if what == 't' then
    local is_read, seen = pcall(job_at, i)
    if is_read and seen and is_stalled(seen, now) then job = { seen.v, seen.h, seen.r } end
  else
    local raw = redis.call('HMGET', key, 'v', 'h', 'r', 'a', 's', 'z', 'd', 'u')
    if raw[1] then
      job = { raw[1], raw[2], raw[3] }
      if what == 'd' or what == 'r' then
        local more = redis.call('HMGET', texts, 'n', 'r')
        job = { raw[1], raw[2], raw[3], raw[4], raw[5], raw[6], raw[7], more[1], more[2] }
      end
      if what == 'r' then
        local payload = redis.call('HMGET', texts, 'd', 'c')
        job[10], job[11], job[12] = payload[1], payload[2], raw[8]
      end
    elseif what == 'w' then
      local last = redis.call('HMGET', final, 'v', 'h', 'r')
      if last[1] then job = { last[1], last[2], last[3], 'removed' } end
    end
  end
  table.insert(reply, job)
end
return reply
