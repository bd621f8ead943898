-- The rules that all scripts share. A script's text is its first line, a line that names its keys, what
-- it uses of the clock and of this file, and the rest of the script.
--
-- Keys of a namespace, as the scripts name them:
--   COUNT   hash: the number of jobs of each status (fields 1 to 6), `seq`, the number of changes that
--           scripts have made, and `store`, a random name that ends when the store is emptied
--   RUN     sorted set: the times from which running and stopping jobs are silent for too long
--   DUE     sorted set: the times of deadlines, of the ends of stops, and of removals
--   ALL     sorted set: all jobs, by the `seq` of their registration
-- Keys of a job:
--   JOB     j, hash, the truth; its fields are below. Its name is also that of the channel of hints.
--   TEXTS   p, hash: payload `d`, its codec `c`, note `n`, reason `r`
--   FINAL   f, hash that outlives a removed job for a minute: `o`, `v`, `h`, `r` as in j
--
-- KEYS of a script of one job: COUNT, JOB, TEXTS, RUN, DUE, FINAL, ALL, up to the last one that the script
-- uses. KEYS of other scripts: COUNT, RUN, DUE, ALL, and then what the script says.
--
-- Fields of j. Times are in milliseconds. An absent time or limit is never.
--   v  attempt * 2^23 + status * 2^20 + parts per million, which only grows
--   n  nonce of the attempt
--   o  nonce of the last change
--   q  `seq` of the last change, and e of the change before that
--   h  last heartbeat
--   r  revision: the number of visible changes that are not in v, and u of those of the payload
--   a  registration, s start, z end, d removal
--   k  delay of the removal that a call has set (empty: never), t the delay otherwise
--   l  silence above which the job is stalled
--   g  time to stop, and w the time at which it is over
--   i  digest of the client's key with which the job was registered
--   f  token of the lease on the payload, and m the time at which it is over
--   x  duration of the deadline, b the same as a text, and y the time at which it is over
--   w and y mean nothing once the job has ended.
--
-- ARGV of every script that changes jobs:
--   1 '1' if the call has been sent before, 2 nonce of the call
--   3 a `seq` that the caller saw before it sent the call for the first time
--   4 attempt and 5 nonce to which the call is fenced; empty for a call by id
--
-- A line that ends in `guard` refuses a call. The tests remove each of them once.

local PENDING, RUNNING, STOPPING, COMPLETED, FAILED, CANCELLED = 1, 2, 3, 4, 5, 6
local WHOLE = 1000000
local LAST_ATTEMPT = 65535
-- Seconds for which the final state of a removed job is kept. A call is resent for less than that.
local FINAL_SECONDS = 60
-- Milliseconds after which a job that cannot be read is looked at again.
local UNREADABLE_MILLIS = 60000

local RESENT, CALL, WITNESS = ARGV[1] == '1', ARGV[2], ARGV[3]
local FENCE_ATTEMPT, FENCE_NONCE = ARGV[4], ARGV[5]

-- Returns a whole number as a text. A Lua number becomes `3e+8` when Redis prints it.
local function text(number)
  return string.format('%d', number)
end

-- Returns the job that the name of its hash ends with. The name begins as that of the counts does.
local function id_in(key)
  return string.sub(key, #COUNT - 2)
end

-- Returns `time + delay` as a text, or nil if the delay is absent or empty, which is never.
local function after(time, delay)
  return tonumber(delay) and text(time + tonumber(delay)) or nil
end

-- Whether the job is on another attempt than the one to which a call is fenced. A failover may rewind the
-- number of the attempt, so that the nonce is compared as well.
local function is_superseded(job, attempt, nonce)
  return attempt ~= '' and (job.attempt ~= tonumber(attempt) or job.n ~= nonce)
end

local function is_live(job)
  return job.status <= STOPPING
end

-- Returns the times at which a verdict and a sweep have to look at the job, each of them or nil. Nobody
-- else ends a leased job.
local function scores(job)
  if job.status > STOPPING then return nil, job.d and tonumber(job.d) end
  local run = job.l and job.status ~= PENDING and job.h + job.l or nil
  local deadline, stop = job.y and tonumber(job.y), job.w and tonumber(job.w)
  local due = deadline and stop and math.min(deadline, stop) or deadline or stop
  if job.m then
    local lease = tonumber(job.m)
    run, due = run and math.max(run, lease), due and math.max(due, lease)
  end
  return run, due
end

-- Whether this token holds the lease.
local function holds_lease(job, now, token)
  return job.m ~= nil and now < tonumber(job.m) and job.f == token
end

-- Whether the lease is held, and not by this token. Nobody else writes the payload of a leased job, ends
-- the job or retries it.
local function is_leased(job, now, token)
  return job.m ~= nil and now < tonumber(job.m) and job.f ~= token
end

-- Adds to the fields of a job what its state says. Fails if it has none.
local function parse(job, key)
  local state = tonumber(job.v) or error('no job: ' .. key)
  local step = state % 8388608
  local ppm = step % 1048576
  job.attempt, job.status, job.ppm = (state - step) / 8388608, (step - ppm) / 1048576, ppm
  job.key = key
  return job
end

-- Fails if the fields that every change needs are not there, before the first write of a script of one job.
local function check_fields(job)
  if not (tonumber(job.h) and tonumber(job.r) and job.q and job.e) then error('no job: ' .. job.key) end -- guard
  return job
end

-- Returns the job, or nil if it does not exist.
local function read_job(key)
  local raw = redis.call('HGETALL', key)
  if #raw == 0 then return nil end
  local job = { id = id_in(key), changes = {} }
  for field = 1, #raw, 2 do job[raw[field]] = raw[field + 1] end
  check_fields(parse(job, key))
  job.was_status, job.was_run, job.was_due = job.status, scores(job)
  return job
end

-- Returns the job without its limits, for a change that is made by commit_step. Of its times it has the
-- heartbeat; up to three more fields can be named: `u`, `m` and `f`.
local function read_step(key, ...)
  local raw = redis.call('HMGET', key, 'v', 'n', 'o', 'q', 'e', 'h', 'r', ...)
  if not raw[1] and redis.call('EXISTS', key) == 0 then return nil end
  return check_fields(parse({
    v = raw[1], n = raw[2], o = raw[3], q = raw[4], e = raw[5], h = raw[6], r = raw[7],
    u = raw[8], m = raw[9] or nil, f = raw[10] or nil, changes = {},
  }, key))
end

-- Returns what a heartbeat needs of the job, or nil if it does not exist.
local function read_beat(key)
  local raw = redis.call('HMGET', key, 'v', 'n', 'h', 'l', 'm')
  if not raw[1] and redis.call('EXISTS', key) == 0 then return nil end
  local job = parse({ v = raw[1], n = raw[2], h = raw[3] + 0, l = raw[4], m = raw[5] }, key)
  job.id, job.was_run = id_in(key), scores(job)
  return job
end

-- Returns the i-th job of the call, or nil if it does not exist.
local function job_at(i)
  local job = read_job(KEYS[2 + 3 * i])
  if job then job.texts, job.final = KEYS[3 + 3 * i], KEYS[4 + 3 * i] end
  return job
end

-- Sets a field, or clears it if the value is nil.
local function set(job, field, value)
  if job[field] == value then return end
  job[field] = value
  local list = job.changes
  if not value then
    list = job.cleared or {}
    job.cleared = list
  end
  list[#list + 1] = field
  if value then list[#list + 1] = value end
end

-- Sets a text of the job, or clears it if the value is nil.
local function set_text(job, field, value)
  local name = value and 'texts_set' or 'texts_cleared'
  local list = job[name] or {}
  job[name] = list
  list[#list + 1] = field
  if value then list[#list + 1] = value end
end

-- Returns the time of a change of the job, which is not before an earlier change.
local function time_for(job, now)
  return math.max(now, tonumber(job.a), tonumber(job.s) or 0, tonumber(job.z) or 0)
end

-- A script does not roll back: nothing after its first write may fail. A script of one job checks the keys
-- that it is about to write, and a script of several jobs checks all keys first.
local is_checked = false

-- Raises an error if a key that all jobs share has another type.
local function check_shared()
  is_checked = true
  for _, count in ipairs(redis.call('HMGET', COUNT, 'seq', '1', '2', '3', '4', '5', '6')) do
    if count and not string.find(count, '^%-?%d+$') then error('the counts are not numbers') end -- guard
  end
  redis.call('ZCARD', RUN) -- guard
  redis.call('ZCARD', DUE) -- guard
  redis.call('ZCARD', ALL) -- guard
end

-- Raises an error if what a script of several jobs may read or write of a job is not that of a job.
local function check_job(job)
  for _, field in ipairs({ 'a', 'u', 's', 'z', 'd', 't', 'l', 'g', 'w', 'x', 'y', 'm' }) do
    if not tonumber(job[field] or field ~= 'a' and '0') then error('no job: ' .. job.key) end -- guard
  end
  redis.call('HLEN', job.texts) -- guard
  redis.call('HLEN', job.final) -- guard
end

-- Raises an error if texts of the job are about to be written, and the key has another type.
local function check_texts(job)
  if job.texts_set or job.texts_cleared then redis.call('HLEN', job.texts) end -- guard
end

-- Gives the job its score in a sorted set.
local function index(set_key, job, score)
  if score then
    redis.call('ZADD', set_key, text(score), job.id)
  else
    redis.call('ZREM', set_key, job.id)
  end
end

-- Tells the watchers. It is a hint, and its failure changes nothing.
local function publish(job)
  redis.pcall('PUBLISH', job.key, job.v)
end

-- Returns `seq` and the counts after one more change, by which a job goes from one status to another, as the
-- arguments of HSET. A new job comes from none, and a deleted job goes to none.
local function counted(from, to)
  local less, more = text(from or to), text(to or from)
  local counts = redis.call('HMGET', COUNT, 'seq', less, more)
  local seq = text((counts[1] or 0) + 1)
  if from == to then return { 'seq', seq } end
  if from and to then
    return { 'seq', seq, less, text((counts[2] or 0) - 1), more, text((counts[3] or 0) + 1) }
  end
  return { 'seq', seq, more, text((counts[3] or 0) + (to and 1 or -1)) }
end

-- Writes the changes of a job to its keys. Nothing in it can fail.
local function write(job, seq)
  job.v = text(job.attempt * 8388608 + job.status * 1048576 + job.ppm)
  job.e, job.q = job.q, seq
  redis.call('HSET', job.key, 'v', job.v, 'e', job.e, 'q', seq, 'o', CALL, unpack(job.changes))
  if job.cleared then redis.call('HDEL', job.key, unpack(job.cleared)) end
  if job.texts_cleared then redis.call('HDEL', job.texts, unpack(job.texts_cleared)) end
  if job.texts_set then redis.call('HSET', job.texts, unpack(job.texts_set)) end
  publish(job)
end

-- Writes the changes of a job: the first write of a script, and everything that follows from it.
local function commit(job)
  local run, due = scores(job)
  local counts = counted(job.was_status, job.status)
  if not is_checked then
    check_texts(job)
    if due ~= job.was_due then redis.call('ZCARD', DUE) end -- guard
  end
  -- If the key has another type, nothing has been written yet.
  if run ~= job.was_run then index(RUN, job, run) end
  redis.call('HSET', COUNT, unpack(counts))
  write(job, counts[2])
  if due ~= job.was_due then index(DUE, job, due) end
end

-- Writes the changes of a job whose status and times stay as they are.
local function commit_step(job)
  check_texts(job)
  write(job, text(redis.call('HINCRBY', COUNT, 'seq', 1)))
end

-- Returns the name of the client's key that leads to the job, or nil. The caller cannot name it: it is in
-- the job's hash, and has the same hash slot.
local function own_key(job)
  local name = job.i and string.sub(COUNT, 1, -6) .. 'k:' .. job.i
  return name and redis.call('HGET', name, 'id') == job.id and name or nil
end

-- Deletes an ended job and leaves its final state for the watchers. `name` is its own key, or nil.
local function delete(job, name)
  redis.call('HSET', COUNT, unpack(counted(job.status, nil)))
  redis.call('DEL', job.key, job.texts)
  if name then redis.call('DEL', name) end
  redis.call('ZREM', ALL, job.id)
  redis.call('ZREM', DUE, job.id)
  redis.call('HSET', job.final, 'o', CALL, 'v', job.v, 'h', job.h, 'r', job.r)
  redis.call('EXPIRE', job.final, FINAL_SECONDS)
  publish(job)
end

local function accepted(job)
  return { 'ok', job.q, job.v, job.h, job.r }
end

-- Returns all jobs of the call, with false for each that does not exist, and 'unreadable' for each that is
-- no job, or for which `check` raises an error.
local function all_jobs(check)
  local jobs = {}
  for i = 1, (#KEYS - 4) / 3 do
    local is_read, job = pcall(job_at, i)
    if is_read and job and check then is_read = pcall(check, job) end -- guard
    jobs[i] = is_read and (job or false) or not is_read and 'unreadable'
  end
  return jobs
end

-- Puts off a job that cannot be read, so that it does not hide the others of a sorted set.
local function put_off(set_key, i, now)
  redis.call('ZADD', set_key, 'XX', text(now + UNREADABLE_MILLIS), id_in(KEYS[2 + 3 * i]))
end

-- Returns the job of a call on one job, or nil and the reply. `read` is the function that reads the job, and
-- gets the arguments after it.
local function admit(read, ...)
  local job = read(JOB, ...)
  -- A resend may have changed a job that has been removed since.
  if not job then return nil, { RESENT and 'unknown' or 'absent' } end -- guard
  if RESENT then
    -- The first sending made the last change of the job: the reply is the same.
    if job.o == CALL then return nil, accepted(job) end -- guard
    -- A change since the first sending has been overwritten, and may have been the call's own.
    if tonumber(job.e) > tonumber(WITNESS) then return nil, { 'unknown' } end -- guard
  end
  if is_superseded(job, FENCE_ATTEMPT, FENCE_NONCE) then return nil, { 'superseded' } end -- guard
  job.texts = TEXTS
  return job
end

-- Returns the job as `admit` does. If it has ended, the call is refused.
local function admit_live(read, ...)
  local job, reply = admit(read, ...)
  if job and job.status > STOPPING then return nil, { 'ended', text(job.status) } end -- guard
  return job, reply
end

-- Ends the lease, whoever holds it.
local function give_up_lease(job)
  set(job, 'f', nil)
  set(job, 'm', nil)
end

-- Ends a live job. Failing and cancelling leave the progress as it was. A cancelled job without a
-- reason keeps that of the requested stop.
local function finish(job, status, reason, time)
  job.status = status
  give_up_lease(job)
  if status == COMPLETED then job.ppm = WHOLE end
  if reason or status ~= CANCELLED then set_text(job, 'r', reason) end
  set(job, 'z', text(time))
  set(job, 'd', after(time, job.k or job.t))
end

-- Whether the silence of a job exceeds its limit. Silence before `trusted` does not count.
local function is_stalled(job, now, trusted)
  if job.status ~= RUNNING and job.status ~= STOPPING or not job.l then return false end
  return now > job.h + job.l and now > (trusted or 0) + tonumber(job.l)
end

-- Prints milliseconds as Rust prints a `Duration`.
local function duration(millis)
  if millis < 1 then return '0ns' end
  if millis < 1000 then return text(millis) .. 'ms' end
  local fraction = string.gsub(string.format('.%03d', millis % 1000), '%.?0+$', '')
  return text(math.floor(millis / 1000)) .. fraction .. 's'
end

-- Fails a stalled job.
local function fail_stalled(job, now)
  local silence = math.max(0, now - tonumber(job.h))
  finish(job, FAILED, 'stalled: no heartbeat for ' .. duration(silence), time_for(job, now))
end
