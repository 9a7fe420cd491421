-- 11 bytes, for luafcgid2 (main) and for Apache's mod_lua (handle).
function main()
    Send("hello world")
end

function handle(r)
    r.content_type = "text/html"
    r:puts("hello world")
    return apache2.OK
end
