"""A paho-mqtt client at its defaults: keepalive 60 s; reconnecting is off, to see detection alone.

idle: a subscriber. trickle: publishes with QoS 1, which the broker acknowledges. full: publishes
bursts with QoS 0. Reports the reason code that on_disconnect gets.
"""

import paho.mqtt.client as mqtt
from common import BURST, arguments, lost_as, moments, ready, small_buffer


def connected(client, _userdata, _flags, _reason, _properties) -> None:
    """Subscribe: a client is ready when the broker has acknowledged that."""
    client.subscribe("news")


def subscribed(*_arguments: object) -> None:
    """The broker has acknowledged the subscription."""
    ready()


def disconnected(_client, _userdata, _flags, reason, _properties) -> None:
    """The library gives the connection up."""
    lost_as(
        "".join(word.capitalize() for word in str(reason).split()), f"reason code {reason.value}"
    )


def opened(_client, _userdata, connection) -> None:
    """The socket is there."""
    small_buffer(connection)


def main() -> None:
    """Connect, send the load, say when the connection is lost."""
    server, port, load = arguments()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
    client.on_connect = connected
    client.on_subscribe = subscribed
    client.on_disconnect = disconnected
    if load == "full":
        client.on_socket_open = opened
    client.connect(server, port)
    if load == "idle":
        client.loop_forever()
    client.loop_start()
    for _ in moments(load):
        if load == "trickle":
            client.publish("other", b"request", qos=1)
        else:
            client.publish("other", BURST, qos=0)


main()
