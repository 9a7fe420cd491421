Listen = "@SOCKET@"
WorkerThreads = @WORKERS@
LogFilePath = ""
UploadDir = "/tmp" -- as php-fpm
