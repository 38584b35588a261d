-- wrk: posts a form and counts answers that are not 200. Arguments: body [random N | count FROM STEP].
-- %d in the body becomes a number below N, or one that goes on counting.
local template, mode, first, step

function init(args)
   template, mode = args[1], args[2]
   first, step = tonumber(args[3]), tonumber(args[4] or 1)
   wrk.method = "POST"
   wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
   wrk.body = template
   math.randomseed(os.time())
end

function request()
   if mode == "random" then
      wrk.body = template:format(math.random(0, first - 1))
   elseif mode == "count" then
      wrk.body = template:format(first)
      first = first + step
   end
   return wrk.format()
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '{"requests":%d,"seconds":%f,"p50_us":%d,"p99_us":%d,"failed":%d}\n',
      summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
      errors.status + errors.connect + errors.timeout + errors.read + errors.write))
end
