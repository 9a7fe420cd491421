Listen = "@SOCKET@"
WorkerThreads = @WORKERS@
LogFilePath = ""
