#!lua flags=allow-oom
-- Opens a namespace: checks that the user may run every command that the scripts use, and returns the
-- secret of the ids, which the first call stores.
--
-- KEYS: 1 to 4 as always, 5 j, 6 p, 7 f of any job, 8 meta: a hash with `secret` and `layout`.
-- ARGV: 1 a new secret, 2 the layout, 3 a new name of the store.
-- Replies: {'ok', seq, secret, layout, store}, or {'denied', command, …}.
local commands = {
  { 'DEL', KEYS[5] }, { 'EXISTS', KEYS[5] }, { 'EXPIRE', KEYS[7], '1' }, { 'HDEL', KEYS[5], 'v' },
  { 'HEXISTS', KEYS[5], 'v' }, { 'HGET', KEYS[5], 'v' }, { 'HGETALL', KEYS[5] },
  { 'HINCRBY', KEYS[1], 'seq', '1' }, { 'HLEN', KEYS[6] }, { 'HMGET', KEYS[5], 'v' },
  { 'HSET', KEYS[5], 'v', '1' }, { 'HSETNX', KEYS[8], 'secret', '1' }, { 'TIME' }, { 'TTL', KEYS[7] },
  { 'CLIENT', 'KILL', 'ID', '1' }, { 'ZADD', KEYS[2], '1', 'a' }, { 'ZCARD', KEYS[2] }, { 'ZRANGE', KEYS[2], '0', '1' },
  { 'ZREM', KEYS[2], 'a' }, { 'ZSCORE', KEYS[2], 'a' },
  { 'PUBLISH', KEYS[5], '1' }, { 'SUBSCRIBE', KEYS[5] },
}
local denied = { 'denied' }
for _, command in ipairs(commands) do
  if not redis.acl_check_cmd(unpack(command)) then table.insert(denied, command[1]) end -- guard
end
if #denied > 1 then return denied end -- guard
local meta = redis.call('HMGET', KEYS[8], 'secret', 'layout')
if not meta[1] then
  redis.call('HSETNX', KEYS[8], 'secret', ARGV[1])
  redis.call('HSETNX', KEYS[8], 'layout', ARGV[2])
  meta = redis.call('HMGET', KEYS[8], 'secret', 'layout')
end
redis.call('HSETNX', KEYS[1], 'store', ARGV[3])
local counts = redis.call('HMGET', KEYS[1], 'seq', 'store')
return { 'ok', counts[1] or '0', meta[1], meta[2], counts[2] }
