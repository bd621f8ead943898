-- The server's clock, in milliseconds since 1970. A script reads it once: within a script it moves
-- on Redis 7.0, and stands still from 7.2 on.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
