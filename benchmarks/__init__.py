"""Benchmarks that print their figures; no test asserts them."""
