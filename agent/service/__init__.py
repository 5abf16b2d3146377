"""The HTTP service: its routes, its people's sealed data, its model's worker process, its page."""
