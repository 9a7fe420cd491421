-- The size of an uploaded file.
function main()
    Send(lf.files().file.size)
end
