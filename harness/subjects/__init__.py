"""The programs under test: how each kind of client and server is started and watched."""
