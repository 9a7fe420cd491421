-- Every parameter of the request, one a line.
function main()
    local lines = {}
    for name, value in pairs(Env) do
        lines[#lines + 1] = name .. "=" .. value .. "\n"
    end
    Send(table.concat(lines))
end

-- mod_lua has no table of CGI variables: its request headers, and the fields that make up
-- the rest of them.
local fields = {
    "method", "uri", "unparsed_uri", "the_request", "protocol", "filename", "args",
    "content_type", "useragent_ip", "hostname", "port", "document_root", "server_name",
    "handler", "user", "is_https",
}

function handle(r)
    local lines = {}
    for _, name in ipairs(fields) do
        lines[#lines + 1] = name .. "=" .. tostring(r[name]) .. "\n"
    end
    for name, value in pairs(r:headers_in_table()) do
        lines[#lines + 1] = name .. "=" .. value .. "\n"
    end
    r.content_type = "text/html"
    r:puts(table.concat(lines))
    return apache2.OK
end
