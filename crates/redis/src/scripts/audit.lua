#!lua flags=allow-oom
-- Compares the hashes of up to 100 jobs with the sorted sets. It changes nothing.
--
-- Reply: {then for each job its status, or '' if there is none, and a text of its differences, or ''}.
local reply = {}
for i = 1, (#KEYS - 4) / 3 do
  local key = KEYS[2 + 3 * i]
  local id = string.match(key, '[^:]+$')
  local job = job_at(i)
  local found = {}
  local function expect(name, set_key, score)
    local has = redis.call('ZSCORE', set_key, id)
    if has then has = text(tonumber(has)) end
    local wanted = score and text(score) or false
    if has ~= wanted then
      table.insert(found, name .. ' has ' .. tostring(has) .. ' for ' .. id .. ', and the hash ' .. tostring(wanted))
    end
  end
  if job then
    local run, due = scores(job)
    expect('run', RUN, run)
    expect('due', DUE, due)
    if not redis.call('ZSCORE', ALL, id) then table.insert(found, 'all misses ' .. id) end
    if redis.call('HEXISTS', job.texts, 'd') == 0 then table.insert(found, 'no payload of ' .. id) end
    if redis.call('EXISTS', job.final) == 1 then table.insert(found, 'a final state of ' .. id) end
    if tonumber(job.q) <= tonumber(job.e) then table.insert(found, 'changes out of order of ' .. id) end
    if is_live(job) == (job.z ~= nil) then table.insert(found, 'the end of ' .. id) end
  else
    expect('run', RUN, nil)
    expect('due', DUE, nil)
    expect('all', ALL, nil)
    if redis.call('TTL', KEYS[4 + 3 * i]) == -1 then table.insert(found, 'a lasting final state of ' .. id) end
    if redis.call('EXISTS', KEYS[3 + 3 * i]) == 1 then table.insert(found, 'a payload without ' .. id) end
  end
  table.insert(reply, job and text(job.status) or '')
  table.insert(reply, table.concat(found, '; '))
end
return reply
