#!lua
-- Replaces the payload of a live job if it is still the one that the caller has read, or its note. Not
-- allowed when memory is full.
--
-- ARGV: 6 `u` that the caller has read, empty without a payload; under a lease it is not compared;
-- 7 payload, 8 codec, 9 '1' with a note, 10 note, 11 token of the caller's lease, 12 '1' to give it up.
-- Replies: {'ok', seq, v, h, r}, {'conflict'}, {'leased'}, {'lost'}, {'ended', status}; and as in start.lua.
local has_payload, gives_up = ARGV[6] ~= '', ARGV[12] == '1'
local job, reply
if gives_up then
  -- The times at which somebody has to look at a job depend on its lease.
  job, reply = admit_live(read_job)
elseif has_payload then
  job, reply = admit_live(read_step, 'u', 'm', 'f')
else
  job, reply = admit_live(read_step)
end
if not job then return reply end
if has_payload then
  local token = ARGV[11] or ''
  local now = (job.m or token ~= '') and clock()
  if is_leased(job, now, token) then return { token == '' and 'leased' or 'lost' } end -- guard
  if token ~= '' and not holds_lease(job, now, token) then return { 'lost' } end -- guard
  if token == '' and job.u ~= ARGV[6] then return { 'conflict' } end -- guard
  set(job, 'u', text(tonumber(job.u) + 1))
  set_text(job, 'd', ARGV[7])
  set_text(job, 'c', ARGV[8])
  if gives_up then give_up_lease(job) end
end
if ARGV[9] == '1' then set_text(job, 'n', ARGV[10]) end
set(job, 'r', text(tonumber(job.r) + 1))
if gives_up then commit(job) else commit_step(job) end
return accepted(job)
