#!lua
-- Registers a pending job. Not allowed when memory is full.
--
-- ARGV: 6 nonce of the attempt, 7 capacity, 8 payload, 9 codec, then milliseconds, empty for never:
-- 10 delay of the removal, 11 silence that is a stall, 12 time to stop, 13 deadline; 14 the deadline
-- as a text.
-- Replies: {'ok', seq, v, h, r}, {'full'}, {'taken'} if another job has the id.
local known = job_at(1)
if known then
  -- The id is the caller's own. The job may have been retried since.
  local is_own = known.n == ARGV[6] or known.attempt > 1
  if RESENT and is_own then return accepted(known) end -- guard
  return { 'taken' } -- guard
end
local key, texts, final = KEYS[5], KEYS[6], KEYS[7]
check_types(texts, final)
if RESENT and redis.call('EXISTS', final) == 1 then -- guard
  local last = redis.call('HMGET', final, 'v', 'h', 'r')
  return { 'ok', '0', last[1], last[2], last[3] }
end
if redis.call('ZCARD', ALL) >= tonumber(ARGV[7]) then return { 'full' } end -- guard
local now = clock()
local function given(i)
  return ARGV[i] ~= '' and ARGV[i] or nil
end
local job = {
  key = key, texts = texts, final = final, id = string.match(key, '[^:]+$'),
  attempt = 1, status = PENDING, ppm = 0, q = '0',
  changes = {}, cleared = {}, texts_set = { 'd', ARGV[8], 'c', ARGV[9] }, texts_cleared = {}, was = {},
}
set(job, 'n', ARGV[6])
set(job, 'h', text(now))
set(job, 'a', text(now))
set(job, 'r', '0')
set(job, 'u', '0')
set(job, 't', given(10))
set(job, 'l', given(11))
set(job, 'g', given(12))
set(job, 'x', given(13))
set(job, 'b', given(14))
set(job, 'y', after(now, job.x))
commit(job)
redis.call('ZADD', ALL, job.q, job.id)
return accepted(job)
