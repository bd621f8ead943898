#!lua
-- Replaces the payload of a live job if it is still the one that the caller has read, or its note. Not
-- allowed when memory is full.
--
-- ARGV: 6 `u` that the caller has read, empty without a payload; 7 payload, 8 codec, 9 '1' with a note,
-- 10 note.
-- Replies: {'ok', seq, v, h, r}, {'conflict'}, {'ended', status}; and as in start.lua.
local job, reply = admit()
if not job then return reply end
if not is_live(job) then return ended(job) end -- guard
if ARGV[6] ~= '' then
  if job.u ~= ARGV[6] then return { 'conflict' } end -- guard
  set(job, 'u', text(tonumber(job.u) + 1))
  set_text(job, 'd', ARGV[7])
  set_text(job, 'c', ARGV[8])
end
if ARGV[9] == '1' then set_text(job, 'n', ARGV[10]) end
set(job, 'r', text(tonumber(job.r) + 1))
commit(job)
return accepted(job)
