"""The clockwork, run by one leader among replicas: call-log changes → rows, due rows → jobs, one live subscription.

Nothing comes in. Rows of `calls` and `recordings` and the cursor are committed together; `DownloadRecording` jobs go
out, a short window of them at a time.
"""
