module example/client

go 1.23 // the first with net.KeepAliveConfig
