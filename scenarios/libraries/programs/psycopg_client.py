"""A psycopg client at libpq's defaults: keepalive with the system's settings, no tcp_user_timeout.

idle: waits for notifications. trickle: a query after the other. full: bursts of COPY FROM STDIN.
"""

import os
import socket

import psycopg
from common import BURST, arguments, lost, moments, ready, small_buffer

ROW = b"x" * 1023 + b"\n"


def pour(connection: psycopg.Connection) -> None:
    """Copy rows into a table, for ever."""
    connection.execute("CREATE TEMPORARY TABLE heap (line text)")
    connection.execute(
        "CREATE FUNCTION pg_temp.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN "
        "NULL; END'"
    )
    # No row is kept, so that the table does not grow.
    connection.execute(
        "CREATE TRIGGER nothing BEFORE INSERT ON heap EXECUTE FUNCTION pg_temp.nothing()"
    )
    with socket.socket(fileno=os.dup(connection.fileno())) as same:
        small_buffer(same)
    with connection.cursor().copy("COPY heap FROM STDIN") as copy:
        ready()
        for _ in moments("full"):
            copy.write(ROW * (len(BURST) // len(ROW)))


def main() -> None:
    """Connect, send the load, say when the connection is lost."""
    server, port, load = arguments()
    try:
        connection = psycopg.connect(
            host=server, port=port, user="postgres", dbname="template1", autocommit=True
        )
        if load == "full":
            pour(connection)
        elif load == "trickle":
            ready()
            for _ in moments("trickle"):
                connection.execute("SELECT 1")
        else:
            connection.execute("LISTEN news")
            ready()
            for _ in connection.notifies():
                pass
    except psycopg.Error as error:
        lost(error)


main()
