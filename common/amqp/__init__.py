"""RabbitMQ: the topology, the publisher with confirms, and the one consume loop. Nobody else imports aio-pika.

In goes a message of `common.messages`; out comes a confirm, or `NotConfirmed`. In comes a delivery; a handler returns
(acknowledged) or raises (dead-lettered with the reason). A broker that is away is waited for, never an error.
"""
