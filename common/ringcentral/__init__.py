"""RingCentral: the client for production. Facts come from RingCentral's documentation and its OpenAPI file.

In goes what to ask; out comes JSON or a stream, or one of the errors of `common.ringcentral.errors`. Every request
takes a slot of the shared budget first and carries the shared token; both live in Postgres, so that any number of
processes act as one. The token is sent to allowed hosts only. Of several service users, whoever has a slot sends; one
that is refused is set aside, and the request fails only when all are.
"""
