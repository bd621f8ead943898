#!lua
-- Registers a pending job, once for a client's key if one is given. Not allowed when memory is full.
--
-- KEYS: 1 to 7 of the new job; with a client's key, 8 its hash k with `id` and `print`, and 9 the hash j of the
-- job to which the caller has seen it lead.
-- ARGV: 6 nonce of the attempt, 7 capacity, 8 payload, 9 codec, then milliseconds, empty for never:
-- 10 delay of the removal, 11 silence that is a stall, 12 time to stop, 13 deadline; 14 the deadline
-- as a text, 15 `store` of which the id is. With a client's key: 16 its digest, 17 digest of the fingerprint,
-- 18 '1' if the key leads to a job that has ended, 19 the job to which the caller has seen it lead, or empty.
-- Replies: {'ok', seq, v, h, r}, {'full'}, {'taken'} if another job has the id, {'emptied'} if the store has
-- been emptied and has other ids, {'existing'} and {'mismatch'} if the key leads to a job, {'moved'} if it
-- leads to another one than the caller has seen.
local known = read_job(JOB)
if known then
  -- The id is the caller's own. The job may have been retried since.
  local is_own = known.n == ARGV[6] or known.attempt > 1
  if RESENT and is_own then return accepted(known) end -- guard
  return { 'taken' } -- guard
end
if RESENT and redis.call('EXISTS', FINAL) == 1 then -- guard
  local last = redis.call('HMGET', FINAL, 'v', 'h', 'r')
  return { 'ok', '0', last[1], last[2], last[3] }
end
if redis.call('HGET', COUNT, 'store') ~= ARGV[15] then -- guard
  -- Counts of another user are not emptied ones.
  check_shared()
  return { 'emptied' }
end
local name = KEYS[8]
if name then
  local there = redis.call('HMGET', name, 'id', 'print')
  if (there[1] or '') ~= ARGV[19] then return { 'moved' } end -- guard
  local other = KEYS[9] and read_job(KEYS[9])
  local leads = other and (ARGV[18] == '1' or is_live(other))
  if leads and there[2] ~= ARGV[17] then return { 'mismatch' } end -- guard
  if leads then return { 'existing' } end -- guard
end
if redis.call('ZCARD', ALL) >= tonumber(ARGV[7]) then return { 'full' } end -- guard
local now = clock()
local function given(i)
  return ARGV[i] ~= '' and ARGV[i] or nil
end
local job = {
  key = JOB, texts = TEXTS, id = id_in(JOB),
  attempt = 1, status = PENDING, ppm = 0, q = '0',
  changes = {}, texts_set = { 'd', ARGV[8], 'c', ARGV[9] },
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
set(job, 'i', name and ARGV[16] or nil)
set(job, 'y', after(now, job.x))
commit(job)
redis.call('ZADD', ALL, job.q, job.id)
if name then redis.call('HSET', name, 'id', job.id, 'print', ARGV[17]) end
return accepted(job)
