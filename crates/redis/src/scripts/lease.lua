#!lua flags=allow-oom
-- Takes the lease on the payload of a live job, renews it, or gives it up.
--
-- ARGV: 6 token, 7 milliseconds, 8 '1' if the token holds the lease, which then is renewed, or given up with
-- no milliseconds.
-- Replies: {'ok', seq, v, h, r}, {'leased'}, {'lost'} if the token does not hold the lease any more,
-- {'ended', status}; and as in start.lua.
local job, reply = admit_live(read_job)
if not job then return reply end
local now, token = clock(), ARGV[6]
if ARGV[8] == '1' then
  if not holds_lease(job, now, token) then return { 'lost' } end -- guard
elseif is_leased(job, now, token) then -- guard
  return { 'leased' }
end
local over = after(now, ARGV[7])
set(job, 'f', over and token)
set(job, 'm', over)
commit(job)
return accepted(job)
