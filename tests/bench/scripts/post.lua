-- The length of the request's body.
function main()
    Send(#Receive())
end

function handle(r)
    r.content_type = "text/html"
    r:puts(#r:requestbody())
    return apache2.OK
end
