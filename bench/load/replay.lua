-- Makes wrk send the requests of a file: wrk -s replay.lua URL -- FILE
--
-- The file holds payloads, each a line with its length in bytes and then its bytes. One payload is sent
-- again and again and costs wrk no Lua per request; several are sent in turn, the same order for
-- all connections. A payload may hold several requests: wrk counts them and so pipelines.

local function read_payloads(path)
   local file = assert(io.open(path, "rb"))
   local payloads = {}
   for length in file:lines() do
      payloads[#payloads + 1] = file:read(tonumber(length))
   end
   file:close()
   return payloads
end

function init(args)
   local payloads = read_payloads(args[1])
   local last, turn = #payloads, 0
   if last == 1 then
      -- wrk formats its fixed request once, after init.
      wrk.format = function() return payloads[1] end
      return
   end
   request = function()
      turn = turn % last + 1
      return payloads[turn]
   end
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '\nresult {"requests":%d,"seconds":%.6f,"p50":%.7f,"p99":%.7f,"errors":%d}\n',
      summary.requests, summary.duration / 1e6,
      latency:percentile(50) / 1e6, latency:percentile(99) / 1e6,
      errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
