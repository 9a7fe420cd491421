-- 1 MiB that is in memory already. For PHP the benchmark writes body.php with the same
-- text as a literal, which opcache keeps in memory too.
local body = ("x"):rep(1024 * 1024)

function main()
    Send(body)
end

function handle(r)
    r.content_type = "text/html"
    r:puts(body)
    return apache2.OK
end
