/* A client that leaves it to the kernel: SO_KEEPALIVE, and select(2) to be told.
 *
 *     client HOST PORT [IDLE_S INTERVAL_S COUNT]        by default 2 1 3
 *
 * It says what ends the connection by the errno's name and by its exit status:
 * 3 an error, 4 the end of the stream; 1 where it could not begin.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FAILED = 1, LOST = 3, ENDED = 4 };

static void die(const char *what, const char *why)
{
    fprintf(stderr, "client: %s: %s\n", what, why);
    exit(FAILED);
}

/* strerrorname_np(3) is glibc's alone. */
static const char *name_of(int number)
{
    switch (number) {
    case ETIMEDOUT: return "ETIMEDOUT";
    case ECONNRESET: return "ECONNRESET";
    case ECONNREFUSED: return "ECONNREFUSED";
    case EHOSTUNREACH: return "EHOSTUNREACH";
    case ENETUNREACH: return "ENETUNREACH";
    case EPIPE: return "EPIPE";
    default: return strerror(number);
    }
}

static void set(int sock, int level, int option, int value)
{
    if (setsockopt(sock, level, option, &value, sizeof value) != 0)
        die("setsockopt", name_of(errno));
}

static int connected(const char *host, const char *port)
{
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *found;
    int problem = getaddrinfo(host, port, &wanted, &found);
    if (problem != 0)
        die(host, gai_strerror(problem));
    int sock = socket(found->ai_family, found->ai_socktype, found->ai_protocol);
    if (sock < 0 || connect(sock, found->ai_addr, found->ai_addrlen) != 0)
        die("connect", name_of(errno));
    freeaddrinfo(found);
    return sock;
}

int main(int count, char **arguments)
{
    if (count != 3 && count != 6)
        die("usage", "client HOST PORT [IDLE_S INTERVAL_S COUNT]");
    setvbuf(stdout, NULL, _IOLBF, 0);
    int sock = connected(arguments[1], arguments[2]);
    /* The switch last: the kernel arms the timer with what is set by then. */
    set(sock, IPPROTO_TCP, TCP_KEEPIDLE, count == 6 ? atoi(arguments[3]) : 2);
    set(sock, IPPROTO_TCP, TCP_KEEPINTVL, count == 6 ? atoi(arguments[4]) : 1);
    set(sock, IPPROTO_TCP, TCP_KEEPCNT, count == 6 ? atoi(arguments[5]) : 3);
    set(sock, SOL_SOCKET, SO_KEEPALIVE, 1);
    puts("connected");

    for (;;) {
        char buffer[4096];
        fd_set readable;
        FD_ZERO(&readable);
        FD_SET(sock, &readable);
        if (select(sock + 1, &readable, NULL, NULL, NULL) < 0)
            die("select", name_of(errno));
        ssize_t octets = read(sock, buffer, sizeof buffer);
        if (octets == 0) {
            puts("lost: end of stream");
            return ENDED;
        }
        if (octets < 0) {
            printf("lost: %s\n", name_of(errno));
            return LOST;
        }
    }
}
