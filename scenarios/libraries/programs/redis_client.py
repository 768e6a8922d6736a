"""A redis-py client at its defaults: keepalive 30/5/3, 5 s for each read or write.

Retries are off: detection alone.

idle: a subscriber who waits for messages, which has no timeout. trickle, full: SET, with the answer
waited for.
"""

import redis
from common import BURST, arguments, lost, moments, ready, small_buffer
from redis.backoff import NoBackoff
from redis.retry import Retry

NEVER = Retry(NoBackoff(), 0, supported_errors=())
"""No retries; no errors either after which a subscriber would connect anew before it reports the
loss.
"""


class SmallBuffer(redis.Connection):
    """A connection with a small send buffer."""

    def _connect(self):
        connection = super()._connect()
        small_buffer(connection)
        return connection


def main() -> None:
    """Connect, send the load, say when the connection is lost."""
    server, port, load = arguments()
    client = redis.Redis(host=server, port=port, retry=NEVER)
    if load == "full":
        client.connection_pool.connection_class = SmallBuffer
    try:
        if load == "idle":
            subscriber = client.pubsub()
            subscriber.subscribe("news")
            for message in subscriber.listen():
                if message["type"] == "subscribe":
                    ready()
        else:
            client.ping()
            ready()
            value = BURST if load == "full" else b"value"
            for _ in moments(load):
                client.set("key", value)
    except redis.RedisError as error:
        lost(error)


main()
