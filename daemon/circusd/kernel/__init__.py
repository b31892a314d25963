"""The only place that calls the operating system; synchronous, without gevent."""
