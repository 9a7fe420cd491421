-- For wrk: what to send, and one line with what came of it.
--     wrk ... -s wrk.lua URL -- [post BYTES | form FIELDS | upload BYTES | cookies COOKIE ...]
function init(args)
    if args[1] == "post" then
        wrk.method = "POST"
        wrk.body = ("p"):rep(tonumber(args[2]))
        wrk.headers["Content-Type"] = "application/octet-stream"
    elseif args[1] == "form" then
        local fields = {}
        for i = 1, tonumber(args[2]) do
            fields[i] = ("field%d=value+%d%%21"):format(i, i)
        end
        wrk.method = "POST"
        wrk.body = table.concat(fields, "&")
        wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
    elseif args[1] == "upload" then
        wrk.method = "POST"
        wrk.body = '--bench\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
            .. ("u"):rep(tonumber(args[2])) .. "\r\n--bench--\r\n"
        wrk.headers["Content-Type"] = "multipart/form-data; boundary=bench"
    elseif args[1] == "cookies" then
        local requests, next_one = {}, 0
        for i = 2, #args do
            requests[#requests + 1] = wrk.format(nil, nil, {Cookie = args[i]})
        end
        function request()
            next_one = next_one % #requests + 1
            return requests[next_one]
        end
    end
end

function done(summary, latency)
    local e = summary.errors
    io.write(("result %d %d %d %d\n"):format(summary.requests, summary.duration,
        latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
