-- Base64 in pure Lua of 3000 bytes. compute.php does the same, step by step.
local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local digit = {}
for i = 0, 63 do
    digit[i] = alphabet:sub(i + 1, i + 1)
end

local function base64(text)
    local out = {}
    for i = 1, #text, 3 do
        local a, b, c = text:byte(i, i + 2)
        local v = a << 16 | (b or 0) << 8 | (c or 0)
        out[#out + 1] = digit[v >> 18] .. digit[v >> 12 & 63]
            .. (b and digit[v >> 6 & 63] or "=") .. (c and digit[v & 63] or "=")
    end
    return table.concat(out)
end

function main()
    Send(base64(("0123456789"):rep(300)))
end

function handle(r)
    r.content_type = "text/html"
    r:puts(base64(("0123456789"):rep(300)))
    return apache2.OK
end
