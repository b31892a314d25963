"""Gevent adapters: they feed events to the core and carry out its effects."""
