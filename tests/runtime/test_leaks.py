"""The leak check tells the workers of gevent's pool from threads that are left behind."""

from __future__ import annotations

import threading

import gevent

from tests.leaks import holdings


def test_a_worker_that_takes_the_place_of_another_is_no_thread_left_behind() -> None:
    """Though the pool has not grown; and a thread beside it is one, though a worker has ended."""
    pool = gevent.get_hub().threadpool
    pool.apply(lambda: None)
    before = holdings(green=False)
    first = pool.apply(threading.get_native_id)
    pool.size = 0
    assert pool.apply(threading.get_native_id) != first
    assert holdings(green=False).more_than(before) == []
    pool.size = 0
    stop = threading.Event()
    straggler = threading.Thread(target=stop.wait, name="straggler")
    straggler.start()
    try:
        assert holdings(green=False).more_than(before) == [f"thread {straggler.native_id} (straggler)"]
    finally:
        stop.set()
        straggler.join()
