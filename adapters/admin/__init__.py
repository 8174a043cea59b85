"""The control socket: JSON-RPC over a unix socket, its server, its client, and the `ctl` command for people."""
