#!lua flags=allow-oom
-- Ends a live job. The first ending wins.
--
-- ARGV: 6 status, 7 '1' with a reason, 8 reason, 9 '1' to cancel the job instead if a stop was requested,
-- 10 token of the caller's lease, 11 '1' with a payload, 12 payload, 13 codec.
-- Replies: {'ok', seq, v, h, r}, {'not_started'} to a completion, {'leased'}, {'lost'}, {'ended', status}; and
-- as in start.lua.
local job, reply = admit_live(read_job)
if not job then return reply end
local status, reason = tonumber(ARGV[6]), ARGV[7] == '1' and ARGV[8] or nil
if status == COMPLETED and job.status == PENDING then return { 'not_started' } end -- guard
local now, token = clock(), ARGV[10] or ''
if is_leased(job, now, token) then return { token == '' and 'leased' or 'lost' } end -- guard
if token ~= '' and not holds_lease(job, now, token) then return { 'lost' } end -- guard
if ARGV[9] == '1' and job.status == STOPPING then status, reason = CANCELLED, nil end
if ARGV[11] == '1' then
  set(job, 'u', text(tonumber(job.u) + 1))
  set_text(job, 'd', ARGV[12])
  set_text(job, 'c', ARGV[13])
end
finish(job, status, reason, time_for(job, now))
commit(job)
return accepted(job)
