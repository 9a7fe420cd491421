function main()
    error("on purpose: a secret")
end
