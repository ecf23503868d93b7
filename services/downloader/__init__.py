"""Job from the queue → audio into storage → `recordings` row.

In comes `DownloadRecording`. A claim on the row keeps two downloaders apart; a slot of the shared budget permits the
request; the stream goes into storage with bounded memory; the row says `stored`, or why not and when next.
"""
