"""The machine a process runs on: its files, network addresses and TLS errors. Standard library only."""
