-- wrk: posts a form and counts answers that are not 200. Arguments: body [N STEP].
-- %d in the body becomes one of N numbers, a STEP apart.
local template, count, step

function init(args)
   template, count, step = args[1], tonumber(args[2]), tonumber(args[3])
   wrk.method = "POST"
   wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
   wrk.body = template
   math.randomseed(os.time())
end

function request()
   if count then
      wrk.body = template:format(math.random(0, count - 1) * step)
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
