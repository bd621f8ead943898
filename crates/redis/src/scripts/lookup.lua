#!lua flags=allow-oom
-- Returns the job to which a client's key leads. As read.lua, it is not flagged `no-writes`.
--
-- KEYS: 1 the hash k of the client's key.
-- Reply: {id}, or {} if the key leads to no job.
local id = redis.call('HGET', KEYS[1], 'id')
return id and { id } or {}
