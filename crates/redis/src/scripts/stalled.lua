#!lua flags=allow-oom
-- Reads the states of those of up to 100 jobs that are stalled. As read.lua, it is not flagged `no-writes`.
--
-- Reply: {for each job {v, h, r}, or {} if it is not stalled}.
local now = clock()
local reply = {}
for i, job in ipairs(all_jobs()) do
  local is_found = job and job ~= 'unreadable'
  reply[i] = is_found and is_stalled(job, now) and { job.v, job.h, job.r } or {}
end
return reply
