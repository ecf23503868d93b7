"""The named parts that every service is built from. Nothing here imports a service, and nothing happens at import."""
