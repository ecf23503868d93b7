"""Real RabbitMQ, Postgres and S3 servers on free loopback ports, for the demo and the tests.

In: nothing but the machine, the development packages, and for RabbitMQ a Debian-like apt. Out: objects with `start`,
`stop`, `kill`, `pause`, `resume`, `restart` and an address. No root, no Docker, no installed service is needed or
touched. Data lives in a temporary folder and goes with `stop`. What cannot work here raises `PrivateServerError` in one
sentence.
"""
