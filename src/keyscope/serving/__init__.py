"""The running server: its processes, and what each of them is put together from."""
