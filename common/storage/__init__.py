"""Where audio is kept: streams of bytes go in under a name, whole objects come out; S3 and the file system ship.

`open.open_storage` chooses by `STORAGE_URL`; `interface.Storage` says what every storage promises; `object_names` makes
names that each of them accepts. What may fail: `StorageError` when the storage fails or refuses, `FileNotFoundError`
for an object that is not there, `ValueError` for a name or URL that no storage should be asked for.
"""
