#!lua flags=allow-oom
-- Removes an ended job.
--
-- Replies: {'ok', seq, v, h, r}, {'live'}; and as in start.lua.
if RESENT and redis.call('EXISTS', JOB) == 0 then -- guard
  -- A job is removed once: by this call or by another.
  local final = redis.call('HMGET', FINAL, 'o', 'v', 'h', 'r')
  if not final[1] then return { 'unknown' } end -- guard
  if final[1] ~= CALL then return { 'absent' } end -- guard
  return { 'ok', '0', final[2], final[3], final[4] }
end
local job, reply = admit(read_job)
if not job then return reply end
if is_live(job) then return { 'live' } end -- guard
local name = own_key(job)
job.final = FINAL
redis.call('HLEN', job.texts) -- guard
redis.call('HLEN', job.final) -- guard
redis.call('ZCARD', ALL) -- guard
redis.call('ZCARD', DUE) -- guard
delete(job, name)
return accepted(job)
