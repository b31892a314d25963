"""``chaussette``: serves a WSGI or ASGI application on a listening socket that circusd has opened."""
