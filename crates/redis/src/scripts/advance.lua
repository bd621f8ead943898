#!lua
-- Raises the progress of a running job, and replaces its note if one is given, at one instant. A
-- smaller progress leaves the progress as it is. Not allowed when memory is full.
--
-- ARGV: 6 parts per million, 7 '1' with a note, 8 note.
-- Replies: {'ok', seq, v, h, r}, {'not_started'}, {'stopping'}, {'ended', status}; and as in start.lua.
local job, reply = admit_live(read_step)
if not job then return reply end
if job.status == PENDING then return { 'not_started' } end -- guard
if job.status == STOPPING then return { 'stopping' } end -- guard
local ppm, has_note = tonumber(ARGV[6]), ARGV[7] == '1'
local rises = ppm > job.ppm
if not rises and not has_note then return accepted(job) end
job.ppm = math.max(ppm, job.ppm)
if has_note then
  set_text(job, 'n', ARGV[8])
  -- Without a step, the note alone is a change.
  if not rises then set(job, 'r', text(tonumber(job.r) + 1)) end
end
commit_step(job)
return accepted(job)
